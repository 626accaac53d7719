// A chain of generations to look at: molecules as they move, turned by hand, played, and how the energy goes.

import { whole } from "./ask.js";
import { dialog } from "./dialog.js";
import { trouble } from "./forms.js";
import { clean, el, write } from "./format.js";
import { Film } from "./film.js";
import { EnergyPlot } from "./film_plot.js";
import { grouped, segments } from "./grid_words.js";
import { icon } from "./icons.js";
import { Problem, live } from "./live.js";
import { KINDS, PointsView } from "./points_view.js";

const NEWS = 3000; // ms between two looks for more generations
const SPEEDS = [["0.25", "¼×"], ["1", "1×"], ["4", "4×"]];
const OVER = ["done", "cancelled"];

// Each atom in the colour of the layer in which it stood first: what was order is seen to mix.
function layers(at) {
  const kinds = new Uint8Array(at.length / 3);
  for (let i = 0; i < kinds.length; i += 1) kinds[i] = (at[3 * i + 1] * KINDS) >> 16;
  return kinds;
}

const places = (number, digits) => number.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });

export function filmDialog(batch, chain, name) {
  let open = true;
  let timer = 0;
  let frame = 0; // which is shown, with how far it is on the way to the next
  let playing = !matchMedia("(prefers-reduced-motion: reduce)").matches;
  let speed = 1;
  let before = 0;
  let kinds = null;
  const said = trouble();
  const fail = (problem) => open && write(said, problem ? whole(problem) : "");
  const box = dialog(clean(name), { wide: true, closed: () => {
    open = false;
    clearTimeout(timer);
    cancelAnimationFrame(beat);
    view.close();
    plot.close();
  } });
  box.node.classList.add("film");
  const film = new Film(batch.id, chain, { came: () => paint(), failed: fail });
  const view = new PointsView("Molecules in their box");
  const step = el("span", { class: "film-step" }, "…");
  const generation = el("span", { class: "film-generation" });
  const about = el("div", { class: "film-facts" });
  const slider = el("input", { class: "film-slider", type: "range", min: 0, max: 0, value: 0, "aria-label": "Frame" });
  const button = el("button", { class: "round film-play", type: "button" }, icon("pause"));
  const rate = segments("Speed", SPEEDS, "1", (key) => (speed = Number(key)));
  const plot = new EnergyPlot((wanted) => film.length && seek(film.nearest(wanted)));
  const stage = el("div", { class: "film-stage" }, view.node, el("div", { class: "film-words" }, step, generation));
  box.body.append(el("div", { class: "film-top" }, stage, about), el("div", { class: "film-controls" }, button, slider, rate.node), plot.node, said);
  button.addEventListener("click", () => play(!playing));
  slider.addEventListener("input", () => seek(Number(slider.value)));
  box.node.addEventListener("keydown", (event) => {
    if (event.key !== " " || event.target.closest("button")) return;
    event.preventDefault();
    play(!playing);
  });
  let beat = requestAnimationFrame(tick);
  play(playing);
  button.focus(); // else Space would press what comes first, which closes it
  look().catch(troubled);

  function troubled(problem) {
    if (!(problem instanceof Problem)) throw problem;
    fail(problem);
    later();
  }

  function later() {
    const now = live.batches.get(batch.id) ?? batch;
    if (open && !(OVER.includes(now.state) && film.about?.done === film.about?.generations)) timer = setTimeout(() => look().catch(troubled), NEWS);
  }

  async function look() {
    const known = film.about?.done;
    await film.look();
    if (!open) return;
    if (known !== film.about.done) {
      fail(null);
      slider.max = Math.max(0, film.length - 1);
      plot.show(film.about);
      paint();
    }
    later();
  }

  function play(wanted) {
    if (wanted && film.length && frame >= film.length - 1) frame = 0;
    playing = wanted;
    button.firstChild.setAttribute("name", playing ? "pause" : "resume");
    button.title = playing ? "Pause" : "Play";
    button.setAttribute("aria-label", button.title);
  }

  function seek(wanted) {
    play(false);
    frame = wanted;
    paint();
  }

  // About half a minute for the whole, but neither a slide show nor a blur.
  const pace = () => Math.min(24, Math.max(5, film.length / 30)) * speed;

  function tick(now) {
    if (!open) return;
    beat = requestAnimationFrame(tick);
    const passed = Math.min(100, now - before);
    before = now;
    if (!playing || !film.length || document.hidden) return;
    const next = Math.min(film.length - 1, frame + (passed / 1000) * pace());
    if (!film.frame(Math.floor(next)) || !film.frame(Math.min(film.length - 1, Math.floor(next) + 1))) return; // it is being fetched
    frame = next;
    if (frame >= film.length - 1) play(false);
    paint();
  }

  function paint() {
    if (!open || !film.length) return;
    const number = Math.min(film.length - 1, Math.floor(frame));
    const now = film.frame(number);
    if (!now) return;
    if (!kinds) {
      const first = film.frame(0);
      if (first) kinds = layers(first.at);
    }
    const next = number + 1 < film.length ? film.frame(number + 1) : null;
    view.show({ at: now.at, kinds, next: next?.at ?? null, part: frame - number });
    tell(now, number);
  }

  function tell(now, number) {
    const { atoms, dt, box: side, generations, done, began } = film.about;
    write(step, `Step ${grouped(now.step)}`);
    write(generation, `Generation ${grouped(now.generation + 1)} of ${grouped(generations)}${done < generations ? `, ${grouped(done)} there` : ""}`);
    if (Number(slider.value) !== number) slider.value = number;
    slider.setAttribute("aria-valuetext", `step ${now.step}, generation ${now.generation + 1}`);
    slider.style.setProperty("--part", `${(number / Math.max(1, film.length - 1)) * 100}%`);
    plot.at(now.step);
    const energy = (now.potential + now.kinetic) / atoms;
    const said = [["Atoms", grouped(atoms)], ["Density", places(atoms / side ** 3, 3)], ["Time", `${places(now.step * dt, 1)} τ`], ["Temperature", places((2 * now.kinetic) / (3 * Math.max(1, atoms - 1)), 3)], ["Energy an atom", places(energy, 4)], ["Off by", places(energy - began / atoms, 5)]];
    if (about.firstChild) said.forEach(([, value], index) => write(about.querySelectorAll("dd")[index], value));
    else about.replaceChildren(el("dl", { class: "film-numbers" }, ...said.map(([word, value]) => el("div", {}, el("dt", {}, word), el("dd", {}, value)))), el("p", { class: "note" }, "Each atom has the colour of the layer in which it stood first. The sum of the energies has to be a straight line."));
  }
}
