// The windows of own projects: a new one, changes, its link, an app, and work for it.

import { go } from "./address.js";
import { LONG, get, part as quoted, patch, post, whole } from "./ask.js";
import { button, dialog } from "./dialog.js";
import { check, select, text, trouble } from "./forms.js";
import { bytes, clean, el, write } from "./format.js";
import { counted, deed, facts, lasting, number, outcome, passOn } from "./grid_words.js";
import { Problem, live } from "./live.js";
import { cleanLines } from "./talk_words.js";
import { toast } from "./toast.js";

export const AUDIENCES = [["friends", "Your friends"], ["network", "Members of a network"], ["everyone", "Everyone with the link"], ["invited", "Only those you invite"]];
const MB = 1024 * 1024;
const GFLOP = 1e9;
const QUICK = 0.75; // k of the quick-return bonus, as Folding@home's projects have it

const wrong = (title, advice) => new Problem({ title, advice }, 400);

// Numbers of a form: the field that holds none is named.
function value(field, word, options) {
  try {
    return number(field, options);
  } catch (problem) {
    if (!(problem instanceof RangeError)) throw problem;
    throw wrong(`${word}: ${problem.message} is no number`, "Write digits, with a point before the decimals.");
  }
}

const lines = (said) => said.split("\n").map((line) => line.trim()).filter(Boolean);
const without = (values) => Object.fromEntries(Object.entries(values).filter(([, each]) => each !== undefined && each !== "" && !(Array.isArray(each) && !each.length)));
const fold = (word, ...fields) => el("details", { class: "fold" }, el("summary", {}, word), el("div", { class: "dialog-part" }, ...fields));

function open(title, fields, word, doing, work, { cancel = "Cancel" } = {}) {
  const box = dialog(title);
  const said = trouble();
  const yes = deed(word, () => work(box), { kind: "main", doing, said: (problem) => write(said, problem ? whole(problem) : "") });
  box.body.append(...fields, said);
  box.foot.append(button(cancel, box.close), yes);
  box.node.querySelector("input, textarea, select")?.focus();
  return box;
}

function audience(project) {
  const who = select("Who may compute for it", AUDIENCES, { value: project?.audience ?? "friends" });
  const networks = [...live.networks.values()].filter((network) => !network.removed).map((network) => [network.id, clean(network.name)]);
  const which = select("Which network", networks.length ? networks : [["", "This node is in none"]], { value: project?.network });
  const fit = () => (which.node.hidden = who.value !== "network");
  who.input.addEventListener("change", fit);
  fit();
  return { nodes: [who.node, which.node], values: () => ({ audience: who.value, network: who.value === "network" ? which.value : "" }) };
}

const bonusNote = "k: credit grows by √(k × time a volunteer has / time taken), at most ten times; 0 for none, 0.75 is usual.";

export function newProject() {
  if (document.querySelector("dialog[open]")) return;
  const name = text("Its name", { hint: "Prime hunt" });
  const about = text("What it computes, and what for", { lines: 3, hint: "Volunteers read this before they join." });
  const url = text("A page about it", { hint: "https://" });
  const who = audience();
  const local = check("This machine computes for it, too", { value: true });
  const budget = text("Budget, in cobblestones", { hint: "no limit", note: "It may spend what you earned by lending." });
  const bonus = text("Bonus for quick results", { hint: "0", note: bonusNote });
  open("New project", [name.node, about.node, ...who.nodes, local.node, fold("Page, budget and bonus", url.node, budget.node, bonus.node)], "Make it", "Making it…", async (box) => {
    if (!name.value) throw wrong("it has no name", "Give it one; it can be found under it.");
    const made = await post("/grid/projects", without({ name: name.value, about: about.value, url: url.value, ...who.values(), local: local.value, budget: value(budget, "Budget"), bonus: value(bonus, "Bonus") }));
    live.merge("projects", made);
    box.close();
    go(`/grid/${quoted(made.id)}`);
  });
}

export function changeProject(one) {
  const about = text("What it computes, and what for", { lines: 3, value: one.about });
  const url = text("A page about it", { hint: "https://", value: one.url });
  const who = audience(one);
  const budget = text("Budget, in cobblestones", { hint: "no limit", value: one.budget ?? "" });
  const bonus = text("Bonus for quick results", { value: String(one.bonus), note: bonusNote });
  open(`Change ${clean(one.name)}`, [about.node, url.node, ...who.nodes, budget.node, bonus.node], "Save", "Saving…", async (box) => {
    const { network, ...may } = who.values();
    live.merge("projects", await patch(`/grid/projects/${quoted(one.id)}`, { about: about.value, url: url.value, ...may, ...(network ? { network } : {}), ...without({ budget: value(budget, "Budget") ?? (one.budget ? 0 : undefined), bonus: value(bonus, "Bonus") }) }));
    box.close();
  });
}

// The link to pass on, and invitations where only those who were invited may help.
export function passProject(one) {
  const box = dialog(`Pass ${clean(one.name)} on`);
  const said = trouble();
  const may = AUDIENCES.find(([key]) => key === one.audience)?.[1].toLowerCase() ?? "those you let in";
  box.body.append(el("p", { class: "muted" }, `Whoever may compute for it (${may}) joins with this line, under Grid or by "servent grid join".`), passOn(one.link));
  if (one.audience === "invited") {
    const uses = text("For so many machines", { type: "number", value: "1" });
    const room = el("div", {});
    const make = deed("Make an invitation", async () => {
      const { link } = await post(`/grid/projects/${quoted(one.id)}/invite`, { uses: value(uses, "Machines", { whole: true }) ?? 1 });
      room.replaceChildren(passOn(link, "Good for as many as you said, and for nobody else."));
    }, { sign: "invite", doing: "Making it…", said: (problem) => write(said, problem ? whole(problem) : "") });
    box.body.append(el("h3", {}, "Invitations"), el("div", { class: "form-row" }, uses.node, make), room);
  }
  box.body.append(said);
  box.foot.append(button("Close", box.close, { kind: "main" }));
}

const ABIS = [["command", "command: a unit on stdin, its result on stdout"], ["slice", "slice: in slices, kept between them, goes on elsewhere"], ["python", "python: a Python function"]];

export function addApp(one, previous) {
  const name = text("Its name", { hint: "factors", value: previous?.name ?? "", note: previous ? "The same name makes the next version." : "" });
  const module = text("Module on this machine", { hint: "/home/you/factors.wasm", note: "a .wasm or .wat file; checked before it is signed" });
  const abi = select("How it runs", ABIS, { value: previous?.abi ?? "command" });
  const sample = text("A typical input, as a file on this machine", { hint: "/home/you/sample.txt", note: "It is computed once here, to know how much work a unit is." });
  const operations = text("Or: GFLOP of a unit", { hint: "measured with the input above", note: "Credit is counted by it." });
  const quorum = text("Results that must agree", { type: "number", value: String(previous?.quorum ?? 2), note: "from different people; trusted machines are checked now and then" });
  const seconds = text("Seconds a unit may take", { type: "number", value: String(previous?.seconds ?? 3600) });
  const memory = text("Memory of a unit, in MiB", { type: "number", value: String((previous?.memory_bytes ?? 256 * MB) / MB) });
  const output = text("Output of a unit, in MiB", { type: "number", value: String((previous?.output_bytes ?? MB) / MB) });
  const comparer = text("A module that compares results", { hint: "none: results must be the same to the bit", note: "for results that may differ a little" });
  const about = text("What it does", { lines: 2, value: previous?.about ?? "" });
  const tried = el("div", { class: "tried", role: "status" });
  const said = trouble();
  const fail = (problem) => write(said, problem ? whole(problem) : "");
  const path = () => {
    if (!module.value) throw wrong("no module was given", "Write where the .wasm file lies on the machine that runs the node.");
    return module.value;
  };
  const box = dialog(previous ? `A new version of ${clean(previous.name)}` : "Add an app");
  const test = deed("Try it", async () => {
    const found = await post("/grid/try", without({ module: path(), abi: abi.value, input: sample.value, memory_bytes: value(memory, "Memory", { factor: MB, whole: true }) }), { wait: LONG });
    const good = found.outcome === "done";
    tried.replaceChildren(el("div", { class: good ? "good-box" : "problem-box" }, el("sv-icon", { name: good ? "check" : "fail" }), el("div", { class: "tried-words" }, el("p", {}, good ? `It ran in ${lasting(found.seconds)}, with ${bytes(found.memory_bytes)} of memory, and said ${bytes(found.size_bytes)}.` : clean(found.words || outcome(found.outcome))), ...(good && found.output && !found.base64 ? [el("pre", { class: "grid-output", dir: "auto" }, cleanLines(found.output.slice(0, 2000)))] : []))));
  }, { sign: "resume", doing: "Running it…", said: fail });
  const add = deed("Add it", async () => {
    if (!name.value) throw wrong("the app has no name", "Work is submitted to it by that name.");
    await post(`/grid/projects/${quoted(one.id)}/apps`, without({
      name: name.value, module: path(), abi: abi.value, sample: sample.value, operations: value(operations, "GFLOP", { factor: GFLOP }), quorum: value(quorum, "Results that must agree", { whole: true }),
      seconds: value(seconds, "Seconds"), memory_bytes: value(memory, "Memory", { factor: MB, whole: true }), output_bytes: value(output, "Output", { factor: MB, whole: true }),
      compare: comparer.value ? "comparer" : "bits", comparer: comparer.value, about: about.value,
    }), { wait: LONG });
    live.merge("projects", await get(`/grid/projects/${quoted(one.id)}`));
    box.close();
    toast(`${clean(name.value)} can compute now`, { open: { word: "Submit work", press: () => submit(live.projects.get(one.id), name.value) } });
  }, { kind: "main", doing: "Checking it…", said: fail });
  box.body.append(name.node, module.node, abi.node, sample.node, operations.node, fold("Limits and how results compare", quorum.node, seconds.node, memory.node, output.node, comparer.node, about.node), tried, said);
  box.foot.append(test, add);
  (previous ? module : name).input.focus();
}

const DEADLINES = [["600", "10 minutes"], ["3600", "an hour"], ["86400", "a day"], ["604800", "a week"], ["2592000", "30 days"]];

export function submit(one, chosen = "") {
  const apps = [...new Set(one.apps.filter((app) => !app.retired).map((app) => app.name))];
  if (!apps.length) return addApp(one);
  const app = select("For the app", apps.map((each) => [each, clean(each)]), { value: apps.includes(chosen) ? chosen : apps.at(-1) });
  const paths = text("Files or folders on this machine, one a line", { lines: 3, hint: "/home/you/inputs", note: "Each file is one unit." });
  const items = text("Or: inputs as text, one a line", { lines: 4, hint: "1000000007\n1000000009", note: "Each line is one unit." });
  const table = text("Or: a file whose lines are the inputs", { hint: "/home/you/numbers.txt" });
  const generations = text("Generations, one after the other", { type: "number", hint: "1", note: "The result of one is the input of the next: each input begins a chain of so many units." });
  const quick = check("Quick results earn more", { value: !one.budget, note: one.bonus ? "" : "From now on in the whole project: √(0.75 × time a volunteer has / time taken), at most ten times the credit. A chain is as quick as those who compute it." });
  const chained = () => (quick.node.hidden = Boolean(one.bonus) || !(Number(generations.value) > 1));
  generations.input.addEventListener("input", chained);
  chained();
  const args = text("Arguments, one a line", { lines: 2, hint: "--from\n{number}", note: "{name} and {number} stand for the input's name and number, {generation} counts from 0." });
  const title = text("What it is", { hint: "to tell it from others" });
  const repeat = text("The same so often, with different seeds", { type: "number", hint: "1" });
  const priority = text("Priority", { type: "number", hint: "0", note: "Higher goes first; a bid, where projects of one network compete." });
  const deadline = select("A volunteer has", DEADLINES, { value: "86400" });
  const expires = text("Given up after so many days", { hint: "never" });
  const budget = text("It may cost, in cobblestones", { hint: "no limit" });
  const to = text("Write results into the folder", { hint: "they stay in the node, to be fetched", note: "on this machine, as they come" });
  const again = check("Compute also what is known already", { note: "else the same input with the same app gives its known result at once" });
  const checks = text("Inputs whose answer is known, one a line", { lines: 2, hint: "6 = 2 3", note: "input = answer. They are mixed in, to catch cheaters." });
  return open(`Work for ${clean(one.name)}`, [app.node, paths.node, items.node, table.node, generations.node, quick.node, to.node, fold("Arguments, title and repeats", args.node, title.node, repeat.node), fold("When, how dear, how sure", priority.node, deadline.node, expires.node, budget.node, again.node, checks.node)], "Submit", "Reading it…", async (box) => {
    const known = lines(checks.value).map((line) => {
      const at = line.indexOf("=");
      if (at < 1) throw wrong(`"${line}" has no answer`, "Write each as: input = answer.");
      return [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    });
    const work = without({
      app: app.value, paths: lines(paths.value), items: items.input.value.split("\n").filter((line) => line.trim()), lines: table.value, args: lines(args.value), title: title.value, repeat: value(repeat, "Repeats", { whole: true }),
      generations: value(generations, "Generations", { whole: true }), priority: value(priority, "Priority", { whole: true }), deadline: Number(deadline.value), expires: value(expires, "Days", { factor: 86400 }), budget: value(budget, "Cost"), to: to.value, checks: known,
    });
    if (!work.paths && !work.items && !work.lines && !(work.repeat > 0)) throw wrong("there is nothing to compute", "Give files, lines of text, or how often it is to run.");
    if (!quick.node.hidden && quick.value) live.merge("projects", await patch(`/grid/projects/${quoted(one.id)}`, { bonus: QUICK }));
    const made = await post(`/grid/projects/${quoted(one.id)}/batches`, { ...work, again: again.value }, { wait: LONG });
    live.merge("batches", made);
    box.close();
    toast(`${counted(made.units, "unit")} of ${clean(one.name)} ${made.units === 1 ? "waits" : "wait"} for machines`, { sign: "send" });
  });
}

// Everything an app's manifest says.
export function appFacts(app) {
  return facts([
    ["Runs as", app.abi], ["Module", `${bytes(app.module_bytes)} · ${(/[0-9a-f]{64}/.exec(app.module)?.[0] ?? app.module).slice(0, 16)}…`], ["A unit is", app.operations ? `${(app.operations / GFLOP).toLocaleString("en", { maximumFractionDigits: 3 })} GFLOP` : "not measured"],
    ["Agreement", app.compare === "bits" ? `${app.quorum} results, the same to the bit` : `${app.quorum} results, by a comparer`],
    ["Limits", `${lasting(app.seconds)}, ${bytes(app.memory_bytes)} of memory, ${bytes(app.output_bytes)} of output`],
    ["About", clean(app.about)],
  ]);
}
