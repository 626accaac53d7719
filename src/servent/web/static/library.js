// <sv-library>: the folders that are shared, how far they are read, with whom, and what of all kinds there is.
// <sv-shelf>: the same in a few lines, for the overview.

import { attribute, bytes, clean, duration, el, rate, write } from "./format.js";
import { icon } from "./icons.js";
import { KINDS, count } from "./kinds.js";
import { live } from "./live.js";
import { ask } from "./net.js";
import { complain } from "./toast.js";

const AUDIENCES = { nobody: "only you", friends: "friends", network: "your networks", peers: "named peers" };
const STATES = { scanning: ["Looking through it", "waiting"], hashing: ["Reading it", "accent"], watching: ["Watched for changes", "direct"], paused: ["Paused", "waiting"], failed: ["Failed", "failed"] };
const SUMS_EVERY = 3000; // ms between two looks at the sums by kind

function sums() {
  const all = { folders: live.folders.size, files: 0, size: 0, hashedFiles: 0, hashed: 0, working: 0, rate: 0, failed: 0 };
  for (const folder of live.folders.values()) {
    all.files += folder.files;
    all.size += folder.size_bytes;
    all.hashedFiles += folder.hashed_files;
    all.hashed += folder.hashed_bytes;
    all.rate += folder.rate_bytes_per_s ?? 0;
    if (["scanning", "hashing"].includes(folder.state)) all.working += 1;
    if (folder.state === "failed") all.failed += 1;
  }
  return all;
}

class Shelf extends HTMLElement {
  connectedCallback() {
    this.figure = el("p", { class: "shelf-figure" });
    this.state = el("p", { class: "muted", dir: "auto" });
    this.bar = el("span", { class: "bar" });
    this.track = el("span", { class: "track", hidden: true }, this.bar);
    this.link = el("a", { class: "more", href: "/library" });
    this.replaceChildren(this.figure, this.track, this.state, this.link);
    this._stop = live.watch(["folders"], () => this.paint(), 1000);
  }
  disconnectedCallback() {
    this._stop?.();
    this.replaceChildren();
  }
  paint() {
    this.link.hidden = !live.known.has("folders");
    if (this.link.hidden) return write(this.figure, "…");
    const all = sums();
    write(this.link, all.folders ? "Your library" : "Share a folder");
    this.track.hidden = !all.working || !all.size;
    this.bar.style.transform = `scaleX(${all.size ? Math.min(1, all.hashed / all.size).toFixed(4) : 0})`;
    write(this.figure, all.folders ? `${count(all.files, "file")}, ${bytes(all.size)}` : "You share nothing yet");
    write(this.state, !all.folders ? "Others can find and fetch only what you share. Files stay where they are."
      : all.failed ? `${count(all.failed, "folder")} cannot be read: see why in the library.`
        : all.working ? `Reading ${count(all.working, "folder")}: ${bytes(all.hashed)} of ${bytes(all.size)}${all.rate ? `, ${rate(all.rate)}` : ""}. What is read can be found.`
          : `in ${count(all.folders, "folder")}, watched for changes`);
  }
}
customElements.define("sv-shelf", Shelf);

class Library extends HTMLElement {
  connectedCallback() {
    this.cards = new Map(); // id -> parts
    this.problems = new Map(); // id -> what the node said no with
    this.kinds = el("div", { class: "kinds", hidden: true });
    this.list = el("ul", { class: "folders", "aria-label": "Shared folders" });
    this.empty = el("div", { class: "card" }, el("div", { class: "empty" }, icon("folder"), el("p", { class: "empty-title" }, "You share nothing yet"),
      el("p", { class: "empty-text" }, "Share a folder: the people you choose can find what is in it by name and fetch it from you. It is read in the background, changes are noticed, and files stay where they are.")));
    this.replaceChildren(this.kinds, this.list, this.empty);
    this._stop = live.watch(["folders"], () => this.paint(), 500);
    this._sums();
  }

  disconnectedCallback() {
    this._stop?.();
    clearTimeout(this._timer);
    this.replaceChildren();
  }

  async _sums() {
    try {
      if (!document.hidden) this._bars(await ask("GET", "/library"));
    } catch {
      // the banner says that the node is away; the folders below keep what was known
    }
    if (this.isConnected) this._timer = setTimeout(() => this._sums(), SUMS_EVERY);
  }

  _bars(library) {
    const kinds = Object.entries(library?.kinds ?? {}).filter(([, files]) => files).sort((a, b) => b[1] - a[1]);
    const all = kinds.reduce((sum, [, files]) => sum + files, 0);
    this.kinds.hidden = !all;
    if (!all) return;
    const said = kinds.map(([kind, files]) => `${kind} ${files}`).join(",");
    if (said === this._said) return;
    this._said = said;
    this.kinds.replaceChildren(
      el("div", { class: "kinds-bar", "aria-hidden": "true" }, ...kinds.map(([kind, files]) => {
        const part = el("span", { class: "kind-part", "data-kind": kind });
        part.style.flexGrow = String(files);
        return part;
      })),
      el("ul", { class: "kinds-list" }, ...kinds.map(([kind, files]) => el("li", {}, el("a", { href: `/search?${new URLSearchParams({ q: `type:${kind}`, scope: "library" })}` }, el("span", { class: "kind-key", "data-kind": kind }), el("span", {}, KINDS[kind]?.word ?? clean(kind)), el("span", { class: "small" }, Number(files).toLocaleString("en")))))));
  }

  paint() {
    const folders = [...live.folders.values()].sort((a, b) => a.name.localeCompare(b.name) || (a.id < b.id ? -1 : 1));
    this.empty.hidden = folders.length > 0 || !live.known.has("folders");
    this.list.hidden = !folders.length;
    for (const [id, parts] of this.cards)
      if (!live.folders.has(id)) {
        parts.node.remove();
        this.cards.delete(id);
      }
    folders.forEach((folder, index) => {
      let parts = this.cards.get(folder.id);
      if (!parts) this.cards.set(folder.id, (parts = this._card(folder.id)));
      if (this.list.children[index] !== parts.node) this.list.insertBefore(parts.node, this.list.children[index] ?? null);
      this._fill(parts, folder);
    });
  }

  _card(id) {
    const parts = {
      name: el("h3", { class: "folder-name", dir: "auto" }), path: el("span", { class: "folder-path", dir: "auto" }), audience: el("span", { class: "mark" }),
      state: el("p", { class: "folder-state", dir: "auto" }), bar: el("span", { class: "bar" }), figures: el("p", { class: "folder-figures" }),
    };
    const round = (sign, word, press) => el("button", { class: "round", type: "button", title: word, onclick: press }, icon(sign));
    parts.pause = round("pause", "Pause", () => this._act(id, live.folders.get(id)?.state === "paused" ? "resume" : "pause"));
    parts.rescan = round("retry", "Look at all of it again", () => this._act(id, "rescan"));
    parts.edit = round("edit", "Change", () => this.dispatchEvent(new CustomEvent("edit", { detail: { id } })));
    parts.track = el("span", { class: "track", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 }, parts.bar);
    parts.node = el("li", { class: "folder" }, el("span", { class: "way" }, icon("folder")),
      el("div", { class: "folder-what" }, el("div", { class: "folder-title" }, parts.name, parts.audience), parts.path),
      el("div", { class: "folder-how" }, parts.figures, parts.track, parts.state),
      el("div", { class: "actions" }, parts.pause, parts.rescan, parts.edit));
    return parts;
  }

  _fill(parts, folder) {
    const [word, tone] = STATES[folder.state] ?? [clean(folder.state), "waiting"];
    const problem = this.problems.get(folder.id);
    const part = folder.size_bytes ? folder.hashed_bytes / folder.size_bytes : folder.files ? folder.hashed_files / folder.files : 1;
    const working = ["scanning", "hashing", "paused"].includes(folder.state) && part < 1;
    parts.node.dataset.tone = tone;
    const name = clean(folder.name);
    write(parts.name, name);
    write(parts.path, clean(folder.path));
    const to = folder.audience === "peers" ? count(folder.peers?.length ?? 0, "named peer") : AUDIENCES[folder.audience];
    write(parts.audience, to);
    attribute(parts.audience, "title", `Seen by ${to}`);
    write(parts.figures, [count(folder.files, "file"), bytes(folder.size_bytes), folder.skipped ? `${folder.skipped.toLocaleString("en")} left out` : ""].filter(Boolean).join(" · "));
    parts.track.hidden = !working;
    parts.bar.style.transform = `scaleX(${Math.min(1, part).toFixed(4)})`;
    attribute(parts.track, "aria-valuenow", Math.floor(part * 100));
    attribute(parts.track, "aria-label", `How far ${name} is read`);
    const pace = folder.state === "hashing" ? [`${Math.floor(part * 100)} %`, folder.rate_bytes_per_s ? rate(folder.rate_bytes_per_s) : "", Number.isFinite(folder.eta_s) ? `${duration(folder.eta_s)} left` : ""].filter(Boolean).join(", ") : "";
    write(parts.state, problem ? `${problem.message}. ${problem.advice}`.trim() : [pace ? `${word}, ${pace}` : word, clean(folder.reason)].filter(Boolean).join(". "));
    parts.state.classList.toggle("problem", Boolean(problem) || folder.state === "failed");
    const paused = folder.state === "paused";
    attribute(parts.pause.firstChild, "name", paused ? "resume" : "pause");
    attribute(parts.pause, "title", paused ? "Go on" : "Pause");
    attribute(parts.pause, "aria-label", `${paused ? "Go on with" : "Pause"} ${name}`);
    attribute(parts.rescan, "aria-label", `Look at all of ${name} again`);
    attribute(parts.edit, "aria-label", `Change how ${name} is shared`);
  }

  async _act(id, action) {
    const parts = this.cards.get(id);
    this.problems.delete(id);
    for (const button of [parts.pause, parts.rescan]) button.disabled = true;
    try {
      live.merge("folders", await ask("POST", `/library/folders/${encodeURIComponent(id)}/${action}`));
    } catch (problem) {
      if (problem.advice === undefined) throw problem;
      this.problems.set(id, problem);
      if (!this.cards.has(id)) complain(problem);
    } finally {
      for (const button of [parts.pause, parts.rescan]) button.disabled = false;
      this.paint();
    }
  }
}
customElements.define("sv-library", Library);
