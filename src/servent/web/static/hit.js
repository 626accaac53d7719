// The details of a hit: what the file says of itself, everybody who has it and where, and what can be done with it.

import { button, dialog, whither } from "./dialog.js";
import { bytes, clean, duration, el } from "./format.js";
import { fileOf, getFile } from "./getting.js";
import { icon } from "./icons.js";
import { KINDS, count, date, parent } from "./kinds.js";
import { live } from "./live.js";
import { aborted, ask, lines, query } from "./net.js";
import { preview, previewable } from "./preview.js";
import { complain, toast } from "./toast.js";

const MOST_SOURCES = 100;
const REASONS = { malware: "It harms the machine", illegal: "It is against the law", mislabelled: "It is not what its name says", spam: "It is spam", abuse: "It is meant to hurt", other: "Something else" };
const TAG_WORDS = { duration_s: "Length", bitrate_kbps: "Bit rate" };
const TAG_TEXTS = { duration_s: (value) => duration(Number(value)), bitrate_kbps: (value) => `${Math.round(Number(value))} kbit/s` };

export class HitDetails {
  constructor(host, back) {
    this.host = host;
    this.back = back;
    this.node = el("aside", { class: "drawer", hidden: true, tabindex: "-1", "aria-label": "Details of the hit" });
    this.node.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.close();
      this.back();
    });
  }

  close() {
    this.node.hidden = true;
    this.host.classList.remove("drawn");
  }

  show(hit) {
    const file = fileOf(hit);
    const into = whither();
    const fact = (word, value) => (value ? [el("dt", {}, word), el("dd", { dir: "auto" }, clean(value))] : []);
    const tags = Object.entries(hit.tags).slice(0, 24).flatMap(([key, value]) => fact(TAG_WORDS[key] ?? key.replaceAll("_", " ").replace(/^./, (letter) => letter.toUpperCase()), TAG_TEXTS[key]?.(value) ?? String(value)));
    const close = el("button", { class: "round drawer-close", type: "button", "aria-label": "Close details", onclick: () => {
      this.close();
      this.back();
    } }, icon("close"));
    this.node.replaceChildren(
      close, el("h2", { dir: "auto" }, clean(hit.name)),
      el("div", { class: "drawer-buttons" },
        ...(hit.here ? [] : [button("Get", () => getFile(file, undefined, into.value()), { kind: "main", sign: "get" })]),
        ...(previewable(hit.name) ? [button("Preview", () => preview(file), { sign: "preview" })] : [])),
      ...(hit.here ? [] : [into.node]),
      el("dl", {}, ...fact("Size", bytes(hit.size_bytes)), ...fact("Kind", KINDS[hit.kind]?.word), ...fact("Name by hash", hit.content), ...tags),
      ...(tags.length ? [el("p", { class: "muted small-text" }, "Length, artist and the like are what the file says of itself.")] : []),
      el("h3", {}, `${count(hit.sources.length, "place")} where it is`),
      el("ul", { class: "sources" }, ...hit.sources.slice(0, MOST_SOURCES).map(source)),
      ...whoElse(hit),
      ...(hit.blocked ? [el("p", { class: "muted" }, clean(hit.blocked))] : []),
      el("div", { class: "drawer-buttons" }, button("Block it…", () => blockIt(hit, () => this.close())), button("Report it…", () => reportIt(hit, () => this.close()))));
    this.node.hidden = false;
    this.host.classList.add("drawn");
    this.node.focus({ preventScroll: true });
  }
}

// `after` is called once it is blocked.
export function blockIt(hit, after = () => {}) {
  const box = dialog("Block this content?");
  box.body.append(el("p", { dir: "auto" }, clean(hit.name)), el("p", { class: "muted" }, "It is never shown, fetched or served here again, whatever its name. Nobody is told. Settings lists what is blocked."));
  box.foot.append(button("Not now", box.close), button("Block it", async () => {
    try {
      const block = await ask("POST", "/blocks", { content: hit.content, name: hit.name.slice(0, 255) });
      toast(`Blocked ${hit.name}`, { undo: { word: "Undo", press: () => ask("DELETE", `/blocks/${encodeURIComponent(block.id)}`).then(() => "Not blocked any more.") } });
      box.close();
      after();
    } catch (problem) {
      complain(problem);
    }
  }, { kind: "danger" }));
}

// From whom it would come: one in a network of ours before others, since only a network has somebody to tell.
function holder(hit) {
  const peers = fileOf(hit).peers;
  return peers.find((peer) => live.peers.get(peer)?.networks?.length) ?? peers[0];
}

// Both, for where there is no room for two buttons.
export function objectTo(hit, after) {
  const box = dialog(hit.name);
  const then = (work) => () => {
    box.close();
    work(hit, after);
  };
  box.body.append(el("p", { class: "muted" }, "Blocking is between you and this node. A report blocks it as well, and tells the founders of the networks you share with its holder."));
  box.foot.append(button("Block it…", then(blockIt)), button("Report it…", then(reportIt)));
}

export function reportIt(hit, after = () => {}) {
  const box = dialog("Report this content");
  const reason = el("select", { class: "pick", "aria-label": "What is wrong with it" }, ...Object.entries(REASONS).map(([value, word]) => el("option", { value }, word)));
  const note = el("textarea", { class: "note-field", rows: 3, maxlength: 500, "aria-label": "A note", placeholder: "What should they know?" });
  box.body.append(el("p", { dir: "auto" }, clean(hit.name)), el("p", { class: "muted" }, "It is blocked here, and the founders of the networks you share with its holders are told. What they do with it is up to them."), reason, note);
  box.foot.append(button("Not now", box.close), button("Report it", async () => {
    try {
      const report = await ask("POST", "/reports", { content: hit.content, peer: holder(hit), name: hit.name.slice(0, 255), reason: reason.value, note: note.value });
      toast(`Reported. ${report.told ? `${count(report.told, "founder")} told.` : "No founder could be told yet."}`);
      box.close();
      after();
    } catch (problem) {
      complain(problem);
    }
  }, { kind: "danger" }));
}

// Asks the networks who has this very content; answers come as they are given.
function whoElse(hit) {
  if (!live.networks.size) return [];
  const list = el("ul", { class: "sources" });
  const said = el("p", { class: "muted small-text", role: "status" });
  const known = new Set(hit.sources.map((one) => one.peer));
  const ask_ = button("Who else has it?", async () => {
    ask_.disabled = true;
    list.replaceChildren();
    said.textContent = "Asking your networks…";
    const control = new AbortController();
    try {
      await lines(`/who-has${query({ link: hit.content })}`, control.signal, (event) => {
        if (!list.isConnected) return control.abort(); // the drawer shows something else: nobody waits for it
        const { holder } = event;
        if (holder && !holder.mine && !known.has(holder.peer) && list.children.length < MOST_SOURCES) {
          known.add(holder.peer);
          list.append(source({ path: "", ...holder }));
        }
        if (event.kind === "done") said.textContent = `${list.children.length ? "" : "Nobody else is known to have it. "}${event.answered ?? 0} of ${count(event.asked ?? 0, "supernode")} answered, ${count(event.messages ?? 0, "message")}.${event.reason ? ` ${clean(event.reason)}` : ""}`;
      });
    } catch (wrong) {
      if (!aborted(wrong)) said.textContent = clean(`${wrong.message}. ${wrong.advice ?? ""}`);
    }
    ask_.disabled = false;
  });
  return [list, el("div", { class: "drawer-buttons" }, ask_), said];
}

function source(one) {
  const where = parent(one.path ?? "");
  const direct = one.free ? "free now" : one.queue ? `${one.queue} wait there` : "busy now";
  const told = one.reachable ? "reachable" : one.reachable === false ? "away now" : "not known whether it is there";
  const state = one.mine ? "here" : one.network ? told : direct;
  const target = one.mine ? `/library?${new URLSearchParams({ path: where })}` : `/browse?${new URLSearchParams({ peer: one.peer, path: where })}`;
  return el("li", {}, el("span", { class: "dot", "data-tone": one.mine || one.free || (one.network && one.reachable) ? "direct" : one.network ? "none" : "waiting" }),
    el("span", { class: "name", dir: "auto" }, one.mine ? "This node" : clean(one.name || one.peer.slice(0, 8))), el("span", { class: "small" }, state),
    el("span", { class: "why", dir: "auto" }, el("a", { href: target }, clean(where || "what they share")), one.network ? ` · in ${clean(one.network)}` : "", one.modified ? ` · ${date(one.modified)}` : ""));
}
