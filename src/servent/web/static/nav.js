// The frame: keys that work on every screen, what hides behind More on a phone, numbers beside a link, the first run.

import { go } from "./address.js";
import { button, dialog } from "./dialog.js";
import { el, write } from "./format.js";
import { icon } from "./icons.js";
import { live } from "./live.js";
import { ask } from "./net.js";

const KEYS = [
  ["/", "Search, from anywhere"],
  ["?", "This list"],
  ["Tab", "From one part of a screen to the next"],
  ["↑ ↓", "From row to row; Page Up, Page Down, Home and End, too"],
  ["Enter", "In Search: get. In Browse: open a folder, get a file. Elsewhere: open the row"],
  ["p", "Preview what the row names"],
  ["g", "In Browse: get the file or the whole folder"],
  ["i", "Details of the row"],
  ["Shift Enter", "In a message: a new line; Enter sends it"],
  ["r", "In Talk: reply to the message"],
  ["← or Backspace", "In Browse: one folder up"],
  ["Esc", "Close what lies on top"],
];

const writing = (target) => target.closest?.("input, textarea, select, [contenteditable]");

function help() {
  if (document.querySelector("dialog[open]")) return;
  const box = dialog("Keys");
  box.body.append(el("dl", { class: "keys" }, ...KEYS.flatMap(([key, what]) => [el("dt", {}, el("kbd", {}, key)), el("dd", {}, what)])));
  box.foot.append(button("Close", box.close, { kind: "main" }));
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || writing(event.target)) return;
  if (event.key === "/" && !document.querySelector("dialog[open], .q-dialog")) {
    event.preventDefault();
    const here = document.querySelector("sv-search");
    if (here) here.focusField();
    else go("/search?focus=1");
  } else if (event.key === "?") {
    event.preventDefault();
    help();
  }
});

// <sv-nav> holds the links. On a phone a few are a bar at the lower edge, the rest a sheet behind More.
class Nav extends HTMLElement {
  connectedCallback() {
    if (this.more) return;
    this.more = el("button", { class: "link more-button first", type: "button", "aria-expanded": "false", onclick: () => this._open(!this.classList.contains("open")) }, icon("more"), el("span", {}, "More"));
    this.addEventListener("click", (event) => event.target.closest("a") && this._open(false));
    this.addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !this.classList.contains("open")) return;
      this._open(false);
      this.more.focus();
    });
    this._away = (event) => !this.contains(event.target) && this._open(false);
    document.addEventListener("pointerdown", this._away);
    queueMicrotask(() => this.append(this.more));
  }
  disconnectedCallback() {
    document.removeEventListener("pointerdown", this._away);
  }
  _open(open) {
    this.classList.toggle("open", open);
    this.more.setAttribute("aria-expanded", open);
  }
}
customElements.define("sv-nav", Nav);

// <sv-badge data-of="…">: how many things on that screen wait for eyes.
const COUNTS = {
  transfers: () => [...live.transfers.values()].filter((one) => one.state === "failed").length,
  wishes: () => [...live.wishes.values()].reduce((sum, wish) => sum + (wish.new ?? 0), 0),
  talk: () => (live.talk?.unread ?? 0) + (live.talk?.invitations ?? 0),
  people: () => live.talk?.asking ?? 0,
  feeds: () => [...live.feeds.values()].filter((feed) => !feed.mine && feed.state === "waiting").length,
};
const SAID = { transfers: "failed", wishes: "new", feeds: "waiting", talk: "unread", people: "asking to be friends" };

class Badge extends HTMLElement {
  connectedCallback() {
    const topic = this.dataset.of;
    this._stop = live.watch([topic === "people" ? "talk" : topic], () => {
      const count = COUNTS[topic]?.() ?? 0;
      this.hidden = !count;
      this.classList.toggle("quiet", topic === "talk" && !live.talk?.mentions && !live.talk?.invitations);
      write(this, count > 99 ? "99+" : count ? String(count) : "");
      this.title = `${count} ${SAID[topic]}`;
      this.setAttribute("aria-label", this.title);
    }, 1000);
  }
  disconnectedCallback() {
    this._stop?.();
  }
}
customElements.define("sv-badge", Badge);

// A node that has never been set up begins with the three steps, once a browser session.
if (location.pathname === "/" && !sessionStorage.getItem("servent-welcomed")) {
  ask("GET", "/setup").then((setup) => {
    sessionStorage.setItem("servent-welcomed", "1");
    if (setup && !setup.done && location.pathname === "/") location.replace("/welcome");
  }, () => {});
}
