// What is asked for a cluster: a new one, a friend's, who may do what there, groups, and what its processes wrote.

import { ask, get, part as quoted, patch, post, whole } from "./ask.js";
import { button, confirmed, dialog } from "./dialog.js";
import { called, check, select, text, trouble } from "./forms.js";
import { clean, el, peerName } from "./format.js";
import { deed, number } from "./grid_words.js";
import { Problem, live } from "./live.js";
import { toast } from "./toast.js";

const LONG = 90_000; // ms; an owner may be far away
const HOURS = /^(daily|weekdays|weekend|(mon|tue|wed|thu|fri|sat|sun)(,(mon|tue|wed|thu|fri|sat|sun))*) ([01]\d|2[0-4]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d$/;
export const at = (one, ...more) => ["/grid/clusters", one.id, ...more].map((piece, index) => (index ? quoted(piece) : piece)).join("/");
const into = (said) => (problem) => write(said, problem ? whole(problem) : "");
const write = (node, words) => { node.textContent = words; };
const cores = (value = "") => text("At most so many of the lent cores", { type: "number", value, hint: "all of them" });

export function newCluster() {
  if (document.querySelector("dialog[open]")) return;
  const box = dialog("New cluster");
  const name = text("Its name", { hint: "lab", note: 'Scripts write it as Client("servent://lab").' });
  const work = check("This machine works in it, too", { value: true, note: "as set under Lend; a pause there holds here" });
  const some = cores();
  const said = trouble();
  const make = deed("Start it", async () => {
    if (!name.value) throw new Problem({ title: "it has no name yet", advice: "One word that you and your friends will type." }, 400);
    live.merge("clusters", await post("/grid/clusters", { name: name.value, work: work.value, cores: number(some) ?? 0 }));
    box.close();
    toast(`${clean(name.value)} starts`, { sign: "check" });
  }, { kind: "main", doing: "Starting…", said: into(said) });
  box.body.append(el("p", { class: "muted" }, "A Dask scheduler starts on this machine. You decide who else is on its list; nobody else gets in."), name.node, work.node, some.node, said);
  box.foot.append(button("Not now", box.close), make);
  name.input.focus();
}

export function joinCluster(link = "") {
  if (document.querySelector("dialog[open]")) return;
  const box = dialog("Join a friend's cluster");
  const field = text("Its link", { value: link, lines: 3, hint: "servent-cluster:…" });
  const work = check("This machine works in it", { value: true, note: "as set under Lend; without this it only submits" });
  const some = cores();
  const said = trouble();
  const join = deed("Join", async () => {
    if (!field.value) throw new Problem({ title: "no link was given", advice: "Paste the line that the cluster's owner gave you." }, 400);
    const one = await post("/grid/clusters/join", { link: field.value, work: work.value, cores: number(some) ?? 0 }, { wait: LONG });
    live.merge("clusters", one);
    box.close();
    toast(`You take part in ${clean(one.name)}`, { sign: "check" });
  }, { kind: "main", doing: "Asking its owner…", said: into(said) });
  box.body.append(
    el("p", { class: "cluster-warning" }, "Among friends there is no sandbox. Whoever the owner lets submit can run any program on this machine, with your files, as you."),
    field.node, work.node, some.node, said);
  box.foot.append(button("Not now", box.close), join);
  field.input.focus();
}

// Somebody new on the list, or what somebody on it may.
export function memberDialog(cluster, machine = null) {
  const box = dialog(machine ? `${clean(machine.name || machine.id.slice(0, 8))} in ${clean(cluster.name)}` : `Who may take part in ${clean(cluster.name)}?`);
  const here = new Set(cluster.machines.map((one) => one.id));
  const known = [...live.peers.values()].filter((peer) => !here.has(peer.id) && !peer.blocked).sort((a, b) => peerName(a).localeCompare(peerName(b)));
  const who = machine ? null : select("Who", [...known.map((peer) => [peer.id, peerName(peer)]), ["", "Somebody else, by id"]]);
  const id = text("Their id", { hint: "52 letters and digits" });
  const work = check("Their machine works", { value: machine ? machine.work : true });
  const submit = check("They may submit", { value: machine ? machine.submit : false, note: "their scripts run any code on all machines of this cluster" });
  const groups = cluster.groups.map((one) => [one.name, check(clean(one.name), { value: machine?.groups.includes(one.name) ?? false })]);
  const said = trouble();
  const path = () => at(cluster, "members", machine?.id || who.value || id.value);
  const save = deed(machine ? "Save" : "Put them on the list", async () => {
    if (!machine && !who.value && !id.value) throw new Problem({ title: "who?", advice: "Choose one of your peers, or paste an id." }, 400);
    const wish = { groups: groups.filter(([, box]) => box.value).map(([name]) => name) };
    if (!machine?.owner) Object.assign(wish, { work: work.value, submit: submit.value });
    live.merge("clusters", await ask("PUT", path(), wish));
    box.close();
    if (!machine) linkDialog(cluster);
  }, { kind: "main", doing: "Saving…", said: into(said) });
  const toggle = () => { id.node.hidden = Boolean(machine || who.value); };
  who?.input.addEventListener("change", toggle);
  box.body.append(...(who ? [who.node] : []), id.node, ...(machine?.owner ? [] : [work.node, submit.node]), ...(groups.length ? [el("fieldset", { class: "field plain-set" }, el("legend", { class: "field-label" }, "Groups"), ...groups.map(([, one]) => one.node))] : []), said);
  toggle();
  if (machine && !machine.owner) {
    const drop = deed("Take off the list", async () => {
      live.merge("clusters", await ask("DELETE", path()));
      box.close();
    }, { kind: "danger", said: into(said) });
    box.foot.append(drop);
  }
  box.foot.append(button("Not now", box.close), save);
}

export function linkDialog(cluster) {
  const box = dialog(`The link of ${clean(cluster.name)}`);
  const copy = button("Copy", async () => {
    await navigator.clipboard.writeText(cluster.link);
    toast("Copied", { sign: "check" });
  }, { sign: "copy", kind: "main" });
  box.body.append(el("p", { class: "muted" }, "Whoever is on the list joins with it, on their page or with ", el("code", {}, "servent grid cluster join"), "."), el("pre", { class: "grid-code" }, cluster.link));
  box.foot.append(button("Close", box.close), copy);
}

export function groupDialog(cluster, group = null) {
  const box = dialog(group ? `Group ${clean(group.name)}` : "New group");
  const name = text("Its name", { value: group?.name ?? "", hint: "night", note: 'client.submit(f, resources={"group-night": 1}) runs on its machines.' });
  name.node.hidden = Boolean(group);
  const hours = text("When its machines work", { value: (group?.hours ?? []).join("\n"), lines: 3, hint: "daily 22:00-07:00", note: "A line for each part of the week, on the clock of each machine; nothing for always." });
  const said = trouble();
  const save = deed("Save", async () => {
    const lines = hours.value.split("\n").map((line) => line.trim()).filter(Boolean);
    const wrong = lines.find((line) => !HOURS.test(line));
    if (wrong) throw new Problem({ title: `“${wrong}” is no part of a week`, advice: "Write it as “weekdays 22:00-07:00” or “sat,sun 00:00-24:00”." }, 400);
    if (!group && !name.value) throw new Problem({ title: "it has no name yet", advice: "Small letters, digits, - and _." }, 400);
    live.merge("clusters", await ask("PUT", at(cluster, "groups", group?.name ?? name.value), { hours: lines }));
    box.close();
  }, { kind: "main", doing: "Saving…", said: into(said) });
  box.body.append(name.node, hours.node, said);
  if (group) box.foot.append(deed("End the group", async () => {
    live.merge("clusters", await ask("DELETE", at(cluster, "groups", group.name)));
    box.close();
  }, { kind: "danger", said: into(said) }));
  box.foot.append(button("Not now", box.close), save);
}

export function workDialog(cluster) {
  const box = dialog(`This machine in ${clean(cluster.name)}`);
  const work = check("It works in this cluster", { value: cluster.work, note: "as set under Lend; a pause there holds here" });
  const some = cores(cluster.cores ? String(cluster.cores) : "");
  const said = trouble();
  const save = deed("Save", async () => {
    live.merge("clusters", await patch(at(cluster), { work: work.value, cores: number(some) ?? 0 }));
    box.close();
  }, { kind: "main", doing: "Saving…", said: into(said) });
  box.body.append(work.node, some.node, said);
  box.foot.append(button("Not now", box.close), save);
}

export async function leaveCluster(cluster) {
  const words = cluster.mine
    ? ["Its scheduler ends, its list is forgotten, and its members have to be asked again.", "Down alone ends the scheduler and keeps the list."]
    : ["The workers of this machine end. To take part again you need the link, and a place on the list."];
  if (!(await confirmed(cluster.mine ? `End ${cluster.name} for everybody?` : `Leave ${cluster.name}?`, words, cluster.mine ? "End it" : "Leave it"))) return;
  await ask("DELETE", at(cluster));
  live.remove("clusters", cluster.id);
  toast(`${cluster.mine ? "Ended" : "Left"} ${clean(cluster.name)}`);
}

export function logDialog(cluster) {
  const box = dialog(`What processes of ${clean(cluster.name)} wrote here`, { wide: true });
  const which = select("Process", cluster.logs.map((name) => [name, name]));
  const lines = el("pre", { class: "grid-output cluster-log" });
  const said = trouble();
  const look = async () => {
    try {
      const found = await get(`${at(cluster, "log")}?process=${quoted(which.value)}&lines=400`);
      write(lines, found.lines.map(clean).join("\n") || "Nothing yet.");
      lines.scrollTop = lines.scrollHeight;
      write(said, "");
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      write(said, whole(problem));
    }
  };
  which.input.addEventListener("change", look);
  box.body.append(which.node, said, lines);
  box.foot.append(button("Look again", look, { sign: "retry" }), button("Close", box.close));
  look();
}

export async function openDashboard(cluster) {
  const tab = window.open("", "_blank"); // at once: later a browser takes it for a pop-up
  try {
    const door = await post(at(cluster, "dashboard"));
    if (tab) tab.location = door.path;
    else location.assign(door.path);
  } catch (problem) {
    tab?.close();
    throw problem;
  }
}

export const nodeName = (machine) => (machine.mine ? "This machine" : clean(machine.name) || called(machine.id));
