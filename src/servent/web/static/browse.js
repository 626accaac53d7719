// <sv-browse>: what a peer shares with us, one folder at a time, a million rows if need be.
// <sv-browse me>: the own library, as it is on this node.

import { follow, go, wanted } from "./address.js";
import { attribute, bytes, clean, el, peerName, write } from "./format.js";
import { folderKey, getFile, getFolder, getMany, progressOf } from "./getting.js";
import { objectTo } from "./hit.js";
import { icon } from "./icons.js";
import { KINDS, count, date, parent, tagLine } from "./kinds.js";
import { live } from "./live.js";
import { ask, query } from "./net.js";
import { Pages } from "./pages.js";
import { PeerShelf } from "./shelf.js";
import { preview, previewable } from "./preview.js";
import { Rows } from "./rows.js";

const TYPING = 250; // ms without a key until the filter is asked for
const SORTS = [["name", "Name"], ["size", "Size"], ["modified", "Changed"]];
const MOST_CHOSEN = 1000;

class Browse extends HTMLElement {
  connectedCallback() {
    this.me = this.hasAttribute("me");
    this.chosen = new Map(); // name -> entry, for getting several
    this.sort = "name";
    this.down = false;
    this.needle = "";
    this.places = new Map(); // path -> the row that was current there, to come back to
    this._build();
    this._stop = [live.watch(["transfers"], () => this._progress(), 1000), live.watch(["folders"], () => this.me && this._changed(), 2000),
      live.watch(["peers"], () => this.pages && this._who() !== this.who && this._crumbs(), 1000),
      follow(this.me ? "/library" : "/browse", (values) => this._address(values))];
    this._address(wanted());
  }

  disconnectedCallback() {
    this._stop.forEach((stop) => stop());
    this.pages?.close();
    this.rows.detach();
    this.shelf?.close();
    clearTimeout(this._timer);
    this.replaceChildren();
  }

  _build() {
    this.crumbs = el("nav", { class: "crumbs", "aria-label": "Folders above" });
    this.filter = el("input", { class: "search", type: "search", placeholder: "Find in this folder", "aria-label": "Find in this folder", maxlength: 200, oninput: () => {
      clearTimeout(this._timer);
      this._timer = setTimeout(() => {
        this.needle = this.filter.value.trim();
        this._open(true);
      }, TYPING);
    } });
    this.filter.addEventListener("keydown", (event) => event.key === "ArrowDown" && this.pages?.length && (event.preventDefault(), this.rows.focus(0)));
    this.about = el("p", { class: "browse-about", role: "status" });
    this.whole = el("button", { class: "quiet-button", type: "button", onclick: () => this._getWhole() }, icon("get"), el("span", {}, "Get this folder"));
    this.several = el("button", { class: "main-button", type: "button", hidden: true, onclick: () => this._getChosen() });
    this.heads = SORTS.map(([sort, word]) => el("button", { class: `sort-head sort-${sort}`, type: "button", onclick: () => this._sortBy(sort) }, el("span", {}, word), icon("up")));
    const [name, size, changed] = this.heads;
    this.head = el("div", { class: "rows-head entry-head" }, el("span", {}), name, size, changed, el("span", {}));
    this.rows = new Rows({
      label: "Files and folders", make: () => this._row(), fill: (row, entry) => this._fill(row, entry), open: (entry, row) => this._enter(entry, row),
      keys: (event, entry) => this._key(event, entry), seen: (first, last) => this.pages?.want(first, last),
    });
    this.rows.node.classList.add("entries");
    this.empty = el("div", { class: "empty", hidden: true });
    this.card = el("div", { class: "card list" }, this.head, this.rows.node, this.empty);
    this.listing = el("div", { class: "listing" }, el("div", { class: "tools" }, this.crumbs, this.filter),
      el("div", { class: "browse-bar" }, this.about, this.several, this.whole), this.card);
    this.chooser = el("div", { class: "chooser" });
    this.replaceChildren(this.chooser, this.listing);
    this.rows.attach();
  }

  // where we are

  _address({ peer = "", path = "" }) {
    const target = this.me ? "me" : peer;
    this.chooser.hidden = Boolean(target);
    this.listing.hidden = !target;
    if (!target) {
      this.pages?.close();
      this.peer = "";
      this.shelf ??= new PeerShelf(this.chooser);
      return;
    }
    if (target === this.peer && path === this.path) return;
    this.peer = target;
    this.path = path.split("/").filter(Boolean).join("/");
    this.needle = this.filter.value = "";
    this._open();
  }

  _to(path) {
    this.places.set(this.path, this.rows.current);
    const values = this.me ? { path } : { peer: this.peer, path };
    go(`${location.pathname}${query(values)}`);
    this.rows.node.focus?.();
  }

  _open(same = false) {
    this.pages?.close();
    this.chosen.clear();
    this.problem = null;
    this.fresh = true;
    const { peer, path, sort, down, needle } = this;
    this.pages = new Pages({
      load: (offset, limit, signal) => ask("GET", `/browse/${encodeURIComponent(peer)}${query({ path, offset, limit, sort, down, filter: needle })}`, null, { signal }),
      changed: () => this._came(),
      failed: (problem) => {
        this.problem = problem;
        this.paint();
      },
    });
    this.rows.current = same ? 0 : (this.places.get(path) ?? 0);
    this.held = !same && this.contains(document.activeElement) && document.activeElement.closest(".rows, .crumbs") ? true : this.held;
    this._crumbs();
    attribute(this.card, "aria-busy", "true");
    this.pages.want(Math.max(0, this.rows.current), this.rows.current + 1);
    if (this.rows.current) this.pages.want(0, 1); // the first page tells how many there are
  }

  // The first answer replaces what was shown before; until then the old rows stay, dimmed.
  _came() {
    if (this.fresh) {
      this.fresh = false;
      const back = Math.min(this.rows.current, Math.max(0, this.pages.length - 1));
      this.rows.node.style.setProperty("--count", this.pages.length);
      this.rows.items = this.pages;
      this.rows.node.scrollTop = 0;
      this.paint();
      if (back) this.rows.reveal(back);
      if (this.held && this.pages.length) this.rows.focus(back);
      this.held = false;
    }
    this.paint();
  }

  // Something changed in the own library: look again at what is seen, without moving.
  _changed() {
    const sum = [...live.folders.values()].reduce((all, folder) => all + folder.files + folder.hashed_files, 0);
    const before = this._sum;
    this._sum = sum;
    if (this.pages && !this.fresh) this.paint();
    if (before === undefined || before === sum || !this.pages || this.fresh) return;
    const top = this.rows.node.scrollTop;
    this._open(true);
    this._restore = top;
  }

  _crumbs() {
    const who = this.who = this._who();
    const parts = this.path ? this.path.split("/") : [];
    const crumb = (word, path, last) => (last ? el("span", { class: "crumb", "aria-current": "page", dir: "auto" }, clean(word)) : el("button", { class: "crumb", type: "button", dir: "auto", onclick: () => this._to(path) }, clean(word)));
    const all = [
      ...(this.me ? [] : [el("a", { class: "crumb", href: "/browse" }, "Peers")]),
      crumb(who, "", !parts.length),
      ...parts.map((part, index) => crumb(part, parts.slice(0, index + 1).join("/"), index === parts.length - 1)),
    ];
    this.crumbs.replaceChildren(...all.flatMap((node, index) => (index ? [el("span", { class: "crumb-gap", "aria-hidden": "true" }, "›"), node] : [node])));
    this.crumbs.scrollLeft = this.crumbs.scrollWidth;
  }

  _who() {
    if (this.me) return "Everything you share";
    const known = live.peers.get(this.peer);
    return known ? peerName(known) : clean(this.pages?.about?.name || this.peer.slice(0, 8));
  }

  // drawing

  paint() {
    if (this.me) this.hidden = live.known.has("folders") && !live.folders.size && !this.pages.length; // the library says it better
    const total = this.pages.length;
    attribute(this.card, "aria-busy", this.fresh && !this.problem ? "true" : null);
    this.rows.node.classList.toggle("gone", !total || Boolean(this.problem));
    this.rows.node.style.setProperty("--count", total);
    this.head.hidden = !total;
    this.heads.forEach((head, index) => {
      const on = SORTS[index][0] === this.sort;
      head.classList.toggle("on", on);
      head.classList.toggle("down", on && this.down);
      attribute(head, "aria-pressed", on);
      attribute(head, "aria-label", `Sort by ${SORTS[index][1].toLowerCase()}${on ? (this.down ? ", largest first now" : ", smallest first now") : ""}`);
    });
    this.rows.show(this.pages);
    if (this._restore !== undefined && !this.fresh) {
      this.rows.node.scrollTop = this._restore;
      this._restore = undefined;
    }
    this._about();
    this._emptiness();
  }

  _about() {
    const about = this.pages.about;
    const files = about?.files ?? 0;
    write(this.about, !about ? "" : [`${count(this.pages.length, "item")}${this.needle ? " with these letters" : ""}`, files ? `${count(files, "file")} below, ${bytes(about.size_bytes)}` : "", about.partial ? "still being read: more will come" : ""].filter(Boolean).join(" · "));
    this.whole.hidden = this.me || !this.path || !about || !this.pages.length || Boolean(this.needle);
    this.several.hidden = !this.chosen.size;
    if (this.chosen.size) write(this.several, `Get ${count(this.chosen.size, "chosen item")}`);
  }

  _emptiness() {
    const shown = Boolean(this.pages.length) && !this.problem;
    this.empty.hidden = shown;
    if (shown) return;
    const say = (title, text, ...more) => this.empty.replaceChildren(el("p", { class: "empty-title" }, title), el("p", { class: "empty-text" }, text), ...more);
    const again = el("button", { class: "quiet-button", type: "button", onclick: () => this._open() }, "Try again");
    if (this.problem) say(clean(this.problem.message), clean(this.problem.advice ?? ""), again);
    else if (this.fresh) say(this.me ? "Reading…" : `Asking ${this._who()}…`, "");
    else if (this.needle) say("Nothing here has these letters in its name", "The search looks everywhere, and into what files say of themselves.", el("a", { class: "quiet-button", href: `/search${query({ q: this.needle })}` }, "Search for it"));
    else if (this.path) say("This folder is empty", "");
    else if (this.me) say("Nothing is shared yet", "Share a folder, and what is in it appears here as soon as it is read. Files stay where they are.");
    else say(`${this._who()} shares nothing with you`, "They may share with friends only, or not have shared a folder yet. Ask them.");
  }

  _progress() {
    if (this.pages?.length) this.rows.draw();
  }

  _row() {
    const row = el("div", { class: "entry" });
    const parts = {
      sign: icon("file"), name: el("span", { class: "name", dir: "auto" }), why: el("span", { class: "why", dir: "auto" }), size: el("span", { class: "speed" }), files: el("span", { class: "small" }), changed: el("span", { class: "left" }),
      box: el("input", { type: "checkbox", class: "choose" }), look: el("button", { class: "round", type: "button", title: "Preview (p)" }, icon("preview")), get: el("button", { class: "round", type: "button", title: "Get (g)" }, icon("get")),
      bad: el("button", { class: "round", type: "button", title: "Block or report (b)" }, icon("warn")),
    };
    parts.look.addEventListener("click", () => this._preview(row.item));
    parts.get.addEventListener("click", () => this._get(row.item));
    parts.bad.addEventListener("click", () => this._object(row.item));
    parts.box.addEventListener("change", () => this._choose(row.item, parts.box.checked));
    row.append(el("span", { class: "way" }, parts.sign), el("span", { class: "what" }, parts.name, parts.why), el("span", { class: "two" }, parts.size, parts.files), parts.changed, el("span", { class: "actions" }, parts.look, parts.get, parts.bad, parts.box));
    row.parts = parts;
    return row;
  }

  _fill(row, entry) {
    const { parts } = row;
    row.classList.toggle("coming", !entry);
    if (!entry) {
      row.item = null;
      for (const part of [parts.name, parts.why, parts.size, parts.files, parts.changed]) write(part, "");
      parts.look.hidden = parts.get.hidden = parts.bad.hidden = parts.box.hidden = true;
      attribute(row, "aria-label", "Not here yet");
      return;
    }
    if (row.item !== entry) {
      row.item = entry;
      attribute(row, "aria-label", null);
      attribute(row, "data-folder", entry.folder);
      write(parts.name, clean(entry.name));
      attribute(row, "data-blocked", Boolean(entry.blocked));
      write(parts.why, entry.blocked ? `Hidden elsewhere: ${clean(entry.blocked)}` : entry.folder ? "" : tagLine(entry.tags));
      write(parts.size, entry.folder && !entry.files ? "" : bytes(entry.size_bytes));
      write(parts.files, entry.folder ? count(entry.files, "file") : "");
      write(parts.changed, date(entry.modified));
      attribute(parts.sign, "name", entry.folder ? "folder" : (KINDS[entry.kind]?.sign ?? "file"));
      parts.look.hidden = entry.folder || !previewable(entry.name) || !entry.content;
      attribute(parts.look, "aria-label", `Preview ${clean(entry.name)}`);
      parts.get.hidden = this.me || (!entry.folder && !entry.content);
      parts.bad.hidden = this.me || entry.folder || !entry.content || Boolean(entry.blocked);
      attribute(parts.bad, "aria-label", `Block or report ${clean(entry.name)}`);
      parts.box.hidden = this.me || (!entry.folder && !entry.content);
      attribute(parts.box, "aria-label", `Choose ${clean(entry.name)}`);
    }
    parts.look.tabIndex = parts.get.tabIndex = parts.bad.tabIndex = parts.box.tabIndex = row.tabIndex;
    parts.box.checked = this.chosen.has(entry.name);
    if (entry.folder) {
      const known = this.me ? null : progressOf(folderKey(this.peer, this._below(entry)));
      write(parts.files, known && known !== "asking" ? howFar(known) : count(entry.files, "file"));
      attribute(parts.get.firstChild, "name", known?.state === "complete" ? "check" : "get");
      attribute(parts.get, "aria-label", `Get the folder ${clean(entry.name)}`);
      parts.get.disabled = false;
      return;
    }
    const known = progressOf(entry.content);
    const mine = entry.here || known?.state === "complete";
    if (!this.me) {
      const part = known && known !== "asking" && !mine ? howFar(known) : "";
      write(parts.files, !entry.content ? "not read yet" : mine ? "you have it" : known === "asking" ? "asking…" : part);
    }
    attribute(parts.get.firstChild, "name", mine ? "check" : "get");
    parts.get.disabled = mine || known === "asking";
    attribute(parts.get, "aria-label", mine ? `You have ${clean(entry.name)}` : `Get ${clean(entry.name)}`);
  }

  // doing

  _below(entry) {
    return this.path ? `${this.path}/${entry.name}` : entry.name;
  }

  _file(entry) {
    return { content: entry.content, name: entry.name, size_bytes: entry.size_bytes, tags: entry.tags, here: this.me || entry.here, peers: this.me ? [] : [this.peer] };
  }

  // Until the first rows of a folder come, those of the last one are still seen: nothing is done with them.
  _enter(entry, row) {
    if (this.fresh) return;
    if (entry.folder) {
      this.held = row.contains(document.activeElement);
      this._to(this._below(entry));
    } else if (previewable(entry.name)) this._preview(entry);
    else this._get(entry);
  }

  _key(event, entry) {
    if (this.fresh && "Enter g p ArrowRight".includes(event.key)) return true;
    if ((event.key === "Backspace" || event.key === "ArrowLeft") && (this.path || !this.me)) this._up();
    else if (event.key === "ArrowRight" && entry.folder) this._enter(entry, event.target);
    else if (event.key === "Enter" && !entry.folder) this.me ? this._preview(entry) : this._get(entry);
    else if (event.key === "g") this._get(entry);
    else if (event.key === "p" && !entry.folder) this._preview(entry);
    else if (event.key === "b" && !this.me && !entry.folder && entry.content) this._object(entry);
    else if (event.key === " " && !this.me && (entry.folder || entry.content)) this._choose(entry, !this.chosen.has(entry.name));
    else return false;
    return true;
  }

  _up() {
    if (!this.path) return go("/browse");
    this.held = true;
    this._to(parent(this.path));
  }

  _get(entry) {
    if (this.me || this.fresh) return undefined;
    if (entry.folder) return getFolder({ peer: this.peer, who: this._who(), path: this._below(entry), name: entry.name, files: entry.files, size_bytes: entry.size_bytes });
    if (!entry.content || entry.here) return undefined;
    return getFile(this._file(entry), () => this.isConnected && this.rows.draw());
  }

  _object(entry) {
    objectTo({ ...entry, sources: [{ peer: this.peer }] }, () => this.isConnected && this._open(true));
  }

  _getWhole() {
    const about = this.pages.about;
    return getFolder({ peer: this.peer, who: this._who(), path: this.path, name: this.path.split("/").pop(), files: about.files, size_bytes: about.size_bytes });
  }

  _choose(entry, on) {
    if (on && this.chosen.size < MOST_CHOSEN) this.chosen.set(entry.name, entry);
    else this.chosen.delete(entry.name);
    this._about();
    this.rows.draw();
  }

  async _getChosen() {
    const all = [...this.chosen.values()];
    if (!(await getMany(all.filter((one) => !one.folder), all.filter((one) => one.folder), { peer: this.peer, who: this._who(), path: this.path }))) return;
    this.chosen.clear();
    this.paint();
  }

  _preview(entry) {
    if (!entry.content) return;
    preview(this._file(entry), (by) => {
      for (let at = this.rows.current + by; at >= 0 && at < this.pages.length; at += by) {
        const other = this.pages.at(at);
        if (!other) return null;
        if (other.folder || !previewable(other.name) || !other.content) continue;
        this.rows.current = at;
        this.rows.reveal(at);
        return this._file(other);
      }
      return null;
    });
  }

  _sortBy(sort) {
    this.down = this.sort === sort ? !this.down : sort !== "name";
    this.sort = sort;
    this._open(true);
  }
}
function howFar(transfer) {
  if (transfer.state === "complete") return "has arrived";
  const part = transfer.size_bytes ? `${Math.floor((transfer.done_bytes / transfer.size_bytes) * 100)} %` : "";
  return [part, transfer.state === "active" ? "" : clean(transfer.error || transfer.reason || transfer.state)].filter(Boolean).join(", ");
}

customElements.define("sv-browse", Browse);
