// Work that was submitted: how far each batch is, what it costs, its results, and the end of it.

import { ask, get, part as quoted, patch, post, press, whole } from "./ask.js";
import { button, confirmed, dialog } from "./dialog.js";
import { ago, text, trouble } from "./forms.js";
import { bytes, clean, el, upper, write } from "./format.js";
import { icon } from "./icons.js";
import { Chains } from "./grid_chains.js";
import { submit } from "./grid_forms.js";
import { stack } from "./grid_mine.js";
import { counted, credit, deed, dot, empty, grouped, left, number, percent, share } from "./grid_words.js";
import { Problem, live } from "./live.js";
import { query } from "./net.js";
import { skyDialog } from "./sky_dialog.js";
import { cleanLines, settle } from "./talk_words.js";
import { toast } from "./toast.js";

const STATES = { preparing: ["Preparing", "waiting"], running: ["Running", "direct"], done: ["Done", "direct"], cancelled: ["Cancelled", "none"], paused: ["Paused", "waiting"] };
const ENDED = ["done", "cancelled"];

// What is over is only "done" where something came of all of it.
function standing(batch) {
  if (batch.state === "done" && batch.errors) return batch.done ? ["Done in part", "waiting"] : ["Failed", "failed"];
  return STATES[batch.state] ?? [clean(batch.state), "none"];
}

const PAGE = 100;
const SHOWN = 400; // letters of an output in the list

export class Batches {
  // What no event tells: how far chains are that show no new result.
  look() {
    for (const row of this.rows.values()) row.chains.look();
  }

  constructor(fail) {
    this.fail = fail;
    this.rows = new Map();
    this.list = el("ul", { class: "batches" });
    this.nothing = el("div", {});
    this.node = el("div", { class: "project-list" }, this.list, this.nothing);
  }

  show(one, batches) {
    batches.sort((a, b) => ENDED.includes(a.state) - ENDED.includes(b.state) || b.created - a.created);
    const known = new Set(batches.map((batch) => batch.id));
    for (const id of [...this.rows.keys()]) if (!known.has(id)) this.rows.delete(id);
    settle(this.list, batches.map((batch) => this._row(batch)));
    const able = one.apps.some((app) => !app.retired) && !one.closed;
    const mark = `${batches.length > 0}${able}`;
    if (mark === this.mark) return;
    this.mark = mark;
    this.nothing.replaceChildren(...(batches.length ? [] : [empty("No work yet", able ? "Submit files or lines of text: each becomes a unit that somebody's machine computes." : "Add an app first. Then files or lines of text become its units.", ...(able ? [deed("Submit work", () => submit(live.projects.get(one.id)), { sign: "send", kind: "main" })] : []))]));
  }

  _row(batch) {
    let row = this.rows.get(batch.id);
    if (!row) {
      row = this._make(batch.id);
      this.rows.set(batch.id, row);
    }
    const [word, tone] = standing(batch);
    const over = ENDED.includes(batch.state);
    row.dot.dataset.tone = tone;
    write(row.name, clean(batch.title || `${batch.app}, number ${batch.id}`));
    write(row.word, word);
    const spent = batch.cost ? `${credit(batch.cost)} credit${batch.budget ? ` of ${credit(batch.budget)}` : ""}` : "";
    write(row.why, [batch.why ? upper(clean(batch.why)) : "", clean(batch.app), batch.generations > 1 ? `${counted(batch.units / batch.generations, "chain")} of ${counted(batch.generations, "generation")}` : "", batch.generations > 1 && live.projects.get(batch.project)?.bonus ? "quick results earn more" : "", `submitted ${ago(batch.created)}`, spent, batch.priority ? `priority ${batch.priority}` : "", batch.errors ? `${grouped(batch.errors)} failed` : "", batch.cancelled ? `${grouped(batch.cancelled)} cancelled` : "", batch.to ? `into ${clean(batch.to)}` : ""].filter(Boolean).join(" · "));
    const part = share(batch.done + batch.errors, batch.units);
    row.progress.show({ done: batch.done, error: batch.errors, cancelled: batch.cancelled, waiting: 0 }, batch.units);
    row.progress.node.dataset.tone = batch.state;
    write(row.part, `${grouped(batch.done)} of ${grouped(batch.units)}`);
    row.chains.look();
    row.sky.hidden = batch.shows !== "signals"; // by what its results are, whatever app made them
    write(row.eta, over ? percent(share(batch.done, batch.units)) : left(batch.eta) || percent(part));
    row.pause.title = batch.state === "paused" ? "Resume" : "Pause";
    for (const each of [row.pause, row.priority, row.cancel, row.forget]) each.setAttribute("aria-label", `${each.title} ${row.name.textContent}`);
    row.pause.firstChild.setAttribute("name", batch.state === "paused" ? "resume" : "pause");
    row.pause.hidden = row.cancel.hidden = row.priority.hidden = over;
    row.forget.hidden = !over;
    row.node.classList.toggle("resting", batch.state === "cancelled");
    return row.node;
  }

  _make(id) {
    const now = () => live.batches.get(id);
    const round = (word, sign, work) => {
      const node = el("button", { class: "round", type: "button", title: word }, icon(sign));
      node.addEventListener("click", press(node, "", work, this.fail));
      return node;
    };
    const progress = stack();
    const row = { chains: new Chains(id), dot: dot("none"), name: el("span", { class: "name", dir: "auto" }), word: el("span", { class: "mark" }), why: el("span", { class: "why", dir: "auto" }), part: el("span", {}), eta: el("span", { class: "left" }), progress };
    row.results = deed("Results", () => resultsDialog(now()), { small: true, sign: "document", said: this.fail });
    row.sky = deed("What was found", () => skyDialog(now()), { small: true, sign: "search", said: this.fail });
    row.pause = round("Pause", "pause", async () => live.merge("batches", await patch(`/grid/batches/${quoted(id)}`, { paused: now().state !== "paused" })));
    row.priority = round("Change", "edit", () => priorityDialog(now()));
    row.cancel = round("Cancel", "cancel", async () => {
      const batch = now();
      if (await confirmed(`Cancel ${batch.title || "this work"}?`, [`${counted(batch.units - batch.done - batch.errors, "unit")} will not be computed. Results that are there stay, and so does the credit for them.`], "Cancel it")) live.merge("batches", await post(`/grid/batches/${quoted(id)}/cancel`));
    });
    row.forget = round("Forget", "remove", async () => {
      const batch = now();
      if (!(await confirmed(`Forget ${batch.title || "this work"}?`, ["Its results leave this node, except those that were written to a folder."], "Forget it"))) return;
      await ask("DELETE", `/grid/batches/${quoted(id)}`);
      live.remove("batches", id);
    });
    row.node = el("li", { class: "batch" }, row.dot, el("span", { class: "what" }, el("span", { class: "who" }, row.name, row.word), row.why), el("span", { class: "progress" }, el("span", { class: "progress-text" }, row.part, row.eta), progress.node),
      el("span", { class: "batch-buttons" }, row.sky, row.results, row.pause, row.priority, row.cancel, row.forget), row.chains.node);
    return row;
  }
}

function priorityDialog(batch) {
  const box = dialog(batch.title || "This work");
  const priority = text("Priority", { type: "number", value: String(batch.priority), note: "Higher goes first; a bid, where projects of one network compete." });
  const hours = text("Hours a volunteer has", { type: "number", value: String(Math.round(batch.deadline / 36) / 100) });
  const said = trouble();
  const save = deed("Save", async () => {
    const wanted = number(hours, { factor: 3600 });
    live.merge("batches", await patch(`/grid/batches/${quoted(batch.id)}`, { priority: number(priority, { whole: true }) ?? 0, ...(wanted ? { deadline: wanted } : {}) }));
    box.close();
  }, { kind: "main", doing: "Saving…", said: (problem) => write(said, problem ? whole(problem) : "") });
  box.body.append(priority.node, hours.node, said);
  box.foot.append(button("Not now", box.close), save);
}

// Results as they come, newest last; they can be kept as files, one by one or all.
function resultsDialog(batch) {
  let after = 0;
  let timer = 0;
  let shown = 0;
  let open = true;
  const box = dialog(`Results of ${clean(batch.title || batch.app)}`, { wide: true, closed: () => {
    open = false;
    clearTimeout(timer);
  } });
  const list = el("ul", { class: "results" });
  const state = el("p", { class: "muted", role: "status" }, "Looking…");
  const said = trouble();
  const fail = (problem) => write(said, problem ? whole(problem) : "");
  const more = deed("Show more", () => look(false), { small: true, doing: "Looking…", said: fail });
  more.hidden = true;
  const to = text("Write all of them into a folder", { value: batch.to, hint: "/home/you/results", note: "on this machine, one file each" });
  const save = deed("Write", async () => {
    if (!to.value) throw new Problem({ title: "no folder was given", advice: "Write where the files shall be; it is made where it is missing." }, 400);
    const { files } = await post(`/grid/batches/${quoted(batch.id)}/collect`, { to: to.value }, { wait: 3600_000 });
    toast(`${counted(files.length, "result")} written`, { sign: "check" });
  }, { kind: "main", sign: "folder", doing: "Writing…", said: fail });
  box.body.append(state, list, more, el("div", { class: "form-row results-foot" }, to.node, save), said);

  async function look(again) {
    const page = await get(`/grid/batches/${quoted(batch.id)}/results${query({ after, limit: PAGE })}`);
    if (!open) return;
    const full = page.results.length === PAGE;
    list.append(...page.results.map((result) => resultLine(batch.id, result)));
    shown += page.results.length;
    after = page.results.at(-1)?.order ?? after;
    more.hidden = !full;
    const now = live.batches.get(batch.id) ?? batch;
    write(state, shown ? `${grouped(shown)} of ${counted(now.done + now.errors, "result")}${page.ended ? ", and no more will come" : full ? "" : "; more appear as they come"}` : page.ended ? "It is over, and there are none." : "None yet: they appear here as they come.");
    if (again && !full && !page.ended) timer = setTimeout(() => look(true).catch(fail), 2000);
  }
  look(true).catch((problem) => {
    if (!(problem instanceof Problem)) throw problem;
    fail(problem);
  });
}

function resultLine(batch, result) {
  const good = result.state === "done";
  const said = result.output === null || result.output === undefined ? "" : result.base64 ? "" : cleanLines(result.output.replace(/\s+$/, ""));
  const name = `${clean(result.input || `unit-${result.number}`).replace(/[\\/]/g, "_")}.out`;
  return el("li", { class: "result", "data-tone": good ? "" : "failed" }, el("span", { class: "result-head" }, el("span", { class: "name", dir: "auto" }, `${result.number}${result.input ? ` · ${clean(result.input)}` : ""}`),
    el("span", { class: "why", dir: "auto" }, good ? [bytes(result.size_bytes), result.verified ? "agreed on" : "one machine's word", result.revised ? "revised" : "", result.file ? clean(result.file) : ""].filter(Boolean).join(" · ") : upper(clean(result.why || result.state)))),
  ...(good ? [el("a", { class: "round", href: `/bytes/results/${quoted(batch)}/${result.number}`, download: name, title: "Save", "aria-label": `Save the result of unit ${result.number}` }, el("sv-icon", { name: "get" }))] : []),
  ...(said ? [el("pre", { class: "grid-output", dir: "auto" }, said.length > SHOWN ? `${said.slice(0, SHOWN)}…` : said)] : []));
}
