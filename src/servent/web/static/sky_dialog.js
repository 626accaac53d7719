// What was found in results that are signals: a map of all candidates, and each of them with its plot, the strongest first.

import { get, part as quoted, whole } from "./ask.js";
import { dialog } from "./dialog.js";
import { trouble } from "./forms.js";
import { clean, el, write } from "./format.js";
import { counted, facts, grouped, lasting, segments, short } from "./grid_words.js";
import { Problem, live } from "./live.js";
import { plotOf } from "./sky_plot.js";
import { SkyMap } from "./sky_map.js";

const EVERY = 4000; // ms between two looks while more may come
const MOST = 100;
const OVER = ["done", "cancelled"];
const KINDS = { spike: "Spike", gaussian: "Gaussian", pulse: "Pulse", triplet: "Triplet" };
const CHOICES = [["", "All"], ["spike", "Spikes"], ["gaussian", "Gaussians"], ["pulse", "Pulses"], ["triplet", "Triplets"]];

const hertz = (value) => (Math.abs(value) >= 1e6 ? `${(value / 1e6).toFixed(6)} MHz` : `${value >= 0 ? "+" : "−"}${Math.abs(value).toFixed(2)} Hz`);
const drifts = (value) => `${value >= 0 ? "+" : "−"}${Math.abs(value).toFixed(3)} Hz/s`;
const seenAs = (one, kind) => !kind || one.kind === kind || one.also.some((other) => other.kind === kind);
const line = (one) => `${KINDS[one.kind]} · ${hertz(one.frequency)} · ${drifts(one.drift)} · ${one.score.toFixed(2)} × threshold`;

export function skyDialog(batch) {
  let open = true;
  let timer = 0;
  let kind = "";
  let found = null;
  const said = trouble();
  const fail = (problem) => open && write(said, problem ? whole(problem) : "");
  const box = dialog(`What was found: ${clean(batch.title || batch.app)}`, { wide: true, closed: () => {
    open = false;
    clearTimeout(timer);
    map.close();
  } });
  box.node.classList.add("sky");
  const about = el("div", { class: "sky-about", role: "status" }, el("p", { class: "muted" }, "Reading the results…"));
  const map = new SkyMap((one) => choose(one));
  const which = segments("Kind", CHOICES, "", (key) => {
    kind = key;
    paint();
  });
  const list = el("ol", { class: "candidates" });
  const none = el("p", { class: "muted sky-none" });
  box.body.append(about, map.node, el("div", { class: "sky-which" }, which.node), list, none, said);
  look();

  async function look() {
    try {
      const news = await get(`/grid/batches/${quoted(batch.id)}/sky?most=${MOST}`);
      if (!open) return;
      fail(null);
      if (JSON.stringify(news) !== JSON.stringify(found)) {
        found = news;
        paint();
      }
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      fail(problem);
    }
    if (open && !OVER.includes((live.batches.get(batch.id) ?? batch).state)) timer = setTimeout(look, EVERY);
  }

  function paint() {
    if (!found) return;
    const told = facts([
      ["Searched", `${grouped(found.parts)} of ${counted(found.units, "part")}`],
      ["Signals", found.signals ? counted(found.signals, "signal") + " above threshold" : "none above threshold"],
      ["Listened", `${lasting(Math.round(found.seconds))}${found.recordings > 1 ? ` in ${counted(found.recordings, "recording")}` : ""}`],
      ["Operations", short(found.operations)],
      ["Not readable", found.unread ? counted(found.unread, "result") : ""],
      ["Full", found.full ? `${counted(found.full, "part")} heard more than a result has room for: weaker signals are missing` : ""],
    ]);
    about.replaceChildren(told);
    const some = found.candidates.filter((one) => seenAs(one, kind));
    map.show(some, line);
    map.node.hidden = !some.length;
    list.replaceChildren(...some.map((one, index) => candidate(one, index + 1)));
    write(none, some.length ? "" : found.parts ? "Nothing of this kind came near its threshold." : "No part is searched yet.");
  }

  function choose(one) {
    const some = found.candidates.filter((each) => seenAs(each, kind));
    const row = list.children[some.indexOf(one)];
    row?.scrollIntoView({ block: "center", behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "auto" : "smooth" });
    row?.focus({ preventScroll: true });
  }
}

function candidate(one, rank) {
  const more = [
    one.kind === "spike" ? `${one.bandwidth < 1 ? one.bandwidth.toPrecision(2) : Math.round(one.bandwidth)} Hz wide` : "",
    one.kind === "gaussian" ? `fit ${one.chi.toFixed(2)}` : "",
    one.period ? `every ${one.period.toFixed(2)} s` : "",
    `at ${one.time.toFixed(1)} s`,
    one.seen > 1 ? `seen ${grouped(one.seen)} times${one.parts > 1 ? ` in ${counted(one.parts, "part")}` : ""}` : `part ${one.unit}`,
  ].filter(Boolean).join(" · ");
  return el("li", { class: `candidate${one.near ? " near" : ""}`, "data-kind": one.kind, tabindex: -1 },
    el("div", { class: "candidate-head" }, el("span", { class: "candidate-rank" }, one.near ? "–" : String(rank)), el("span", { class: "candidate-kind" }, KINDS[one.kind] ?? clean(one.kind)),
      el("span", { class: "candidate-score", title: "times the threshold" }, one.near ? `${Math.floor(one.score * 100)} % of the threshold` : `${one.score.toFixed(2)} ×`)),
    el("div", { class: "candidate-place" }, el("span", {}, hertz(one.frequency)), el("span", { class: "muted" }, drifts(one.drift))),
    plotOf(one), el("p", { class: "candidate-more" }, more),
    ...one.also.flatMap((other) => [el("p", { class: "candidate-more" }, `Also as ${(KINDS[other.kind] ?? clean(other.kind))} · ${other.score.toFixed(2)} ×${other.kind === "gaussian" ? ` · fit ${other.chi.toFixed(2)}` : ""}${other.period ? ` · every ${other.period.toFixed(2)} s` : ""}`), plotOf(other)]));
}
