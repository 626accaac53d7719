// <sv-next>: what a node that is new has still to do, until it is done; and what waits for eyes: finds, new versions.

import { clean, el } from "./format.js";
import { icon } from "./icons.js";
import { count } from "./kinds.js";
import { live } from "./live.js";

const HIDE = "servent-next-hidden";

function steps() {
  const met = live.peers.size > 0;
  const shares = live.folders.size > 0;
  if (!live.known.has("peers") || !live.known.has("folders") || (met && shares)) return [];
  return [
    { done: met, sign: "invite", title: "Meet the first peer", text: "Send somebody a ticket, or use the one you were given.", href: "/invite", word: "Invite or join" },
    { done: shares, sign: "folder", title: "Share a folder", text: "What others can find is what you share. Nothing is, so far.", href: "/library", word: "Choose a folder" },
    { done: false, sign: "search", title: "Find something", text: met ? "Search the libraries of everybody who is here." : "As soon as a peer is here, their library can be searched.", href: "/search", word: "Search" },
  ];
}

function news() {
  const said = [];
  for (const wish of live.wishes.values()) if (wish.new) said.push({ sign: "wish", text: `${count(wish.new, "new find")} for ${clean(wish.q)}`, href: "/wishes" });
  for (const feed of live.feeds.values())
    if (!feed.mine && feed.sequence > feed.have && feed.state !== "fetching") said.push({ sign: "feed", text: `${clean(feed.name)} has a new version`, href: "/feeds" });
  for (const folder of live.folders.values()) if (folder.state === "failed") said.push({ sign: "warn", text: `The folder ${clean(folder.name)} cannot be read: ${clean(folder.reason)}`, href: "/library" });
  return said.slice(0, 4);
}

class Next extends HTMLElement {
  connectedCallback() {
    this._stop = live.watch(["peers", "folders", "wishes", "feeds"], () => this.paint(), 1000);
  }
  disconnectedCallback() {
    this._stop?.();
    this.replaceChildren();
  }
  paint() {
    const todo = localStorage.getItem(HIDE) ? [] : steps();
    const fresh = news();
    const said = JSON.stringify([todo, fresh]);
    if (said === this._said) return;
    this._said = said;
    this.hidden = !todo.length && !fresh.length;
    this.replaceChildren(
      ...(todo.length ? [el("section", { class: "card next-card", "aria-label": "First steps" },
        el("div", { class: "next-head" }, el("h2", {}, "First steps"), el("button", { class: "text-button", type: "button", onclick: () => {
          localStorage.setItem(HIDE, "1");
          this.paint();
        } }, "Hide this")),
        el("ol", { class: "next-steps" }, ...todo.map((step) => el("li", { class: step.done ? "done" : null },
          el("span", { class: "way" }, icon(step.done ? "check" : step.sign)),
          el("span", { class: "what" }, el("span", { class: "name" }, step.title), el("span", { class: "muted" }, step.text)),
          step.done ? el("span", { class: "small" }, "done") : el("a", { class: "quiet-button", href: step.href }, step.word)))))] : []),
      ...(fresh.length ? [el("ul", { class: "news", "aria-label": "News" }, ...fresh.map((one) => el("li", {}, el("a", { href: one.href }, icon(one.sign), el("span", { dir: "auto" }, one.text)))))] : []));
  }
}
customElements.define("sv-next", Next);
