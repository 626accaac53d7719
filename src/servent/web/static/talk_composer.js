// Where a message is written: it grows with its lines, keeps its draft for this browser session, and says what holds it back.

import { whole } from "./ask.js";
import { button, dialog } from "./dialog.js";
import { select, text, trouble } from "./forms.js";
import { clean, el, write } from "./format.js";
import { icon } from "./icons.js";
import { live, Problem } from "./live.js";
import { called, gist } from "./talk_words.js";

const LIMIT = 4000; // characters of one message
const NEAR = 500; // from there on the counter shows
const MOST = 8; // links beside one message
const kept = (conversation) => `servent-draft:${conversation}`;

export const token = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

// As the node counts: code points.
const length = (value) => [...value].length;

export class Composer {
  // send(message) -> promise of the node's answer.
  constructor(send) {
    this.send = send;
    this.links = [];
    this.answers = null;
    this.queue = Promise.resolve();
    this.field = el("textarea", { class: "composer-field", rows: 1, "aria-label": "Message", enterkeyhint: "send", oninput: () => this._typed(), onkeydown: (event) => this._key(event) });
    this.count = el("span", { class: "composer-count", role: "status", hidden: true });
    this.said = trouble();
    this.over = el("div", { class: "composer-over", hidden: true });
    this.attach = el("button", { class: "round", type: "button", title: "Attach a link", "aria-label": "Attach a link", onclick: () => this._attach() }, icon("invite"));
    this.go = el("button", { class: "round composer-send", type: "submit", title: "Send (Enter)", "aria-label": "Send" }, icon("send"));
    this.held = el("p", { class: "composer-held", hidden: true, role: "status" });
    this.bar = el("div", { class: "composer-bar" }, this.attach, this.field, this.count, this.go);
    this.node = el("form", { class: "composer", onsubmit: (event) => {
      event.preventDefault();
      this.post();
    } }, this.over, this.said, this.held, this.bar);
  }

  // `held`: why nothing can be written here now, as a sentence; "" when it can.
  hold(held) {
    write(this.held, held);
    this.held.hidden = !held;
    this.bar.hidden = Boolean(held);
  }

  open(conversation, title) {
    this.conversation = conversation;
    this.links = [];
    this.answers = null;
    this.field.value = sessionStorage.getItem(kept(conversation)) ?? "";
    this.field.placeholder = `Message ${title}`;
    write(this.said, "");
    this._over();
    this._typed(false);
  }

  focus() {
    if (!matchMedia("(pointer: coarse)").matches) this.field.focus({ preventScroll: true });
  }

  reply(message) {
    this.answers = message;
    this._over();
    this.field.focus();
  }

  put(words) {
    this.field.setRangeText(words, this.field.selectionStart, this.field.selectionEnd, "end");
    this._typed();
    this.field.focus();
  }

  post() {
    const said = this.field.value.replace(/\s+$/, "");
    if ((!said.trim() && !this.links.length) || length(said) > LIMIT) return;
    const message = { text: said, attachments: this.links, reply_to: this.answers?.id ?? null, token: token() };
    const { conversation, links, answers } = this;
    this.field.value = "";
    this.links = [];
    this.answers = null;
    write(this.said, "");
    this._over();
    this._typed();
    this.queue = this.queue.then(() => this.send(conversation, message)).catch((problem) => {
      if (!(problem instanceof Problem)) throw problem;
      if (conversation !== this.conversation) return sessionStorage.setItem(kept(conversation), said);
      write(this.said, whole(problem));
      if (this.field.value) return undefined; // something else is being written already
      this.field.value = said;
      this.links = links;
      this.answers = answers;
      this._over();
      this._typed();
      return undefined;
    });
  }

  _typed(keep = true) {
    const value = this.field.value;
    if (keep && this.conversation) {
      if (value) sessionStorage.setItem(kept(this.conversation), value);
      else sessionStorage.removeItem(kept(this.conversation));
    }
    const left = LIMIT - length(value);
    this.count.hidden = left > NEAR;
    write(this.count, String(left));
    this.count.classList.toggle("problem", left < 0);
    this.go.disabled = left < 0 || (!value.trim() && !this.links.length);
    this.field.style.height = "auto";
    this.field.style.height = `${Math.min(this.field.scrollHeight, 180)}px`;
  }

  _key(event) {
    if (event.isComposing) return;
    if (event.key === "Enter" && !event.shiftKey && !event.ctrlKey && !event.altKey) {
      event.preventDefault();
      this.post();
    } else if (event.key === "Escape" && (this.answers || this.links.length)) {
      event.preventDefault();
      event.stopPropagation();
      this.answers = null;
      this.links = [];
      this._over();
      this._typed();
    }
  }

  _over() {
    const chip = (sign, words, gone) => el("span", { class: "composer-chip" }, icon(sign), el("span", { dir: "auto" }, words), el("button", { class: "round", type: "button", "aria-label": `Without: ${words}`, onclick: gone }, icon("close")));
    const chips = this.links.map((link, index) => chip("file", clean(new URLSearchParams(link.split("?")[1] ?? "").get("dn") || link.slice(0, 48)), () => {
      this.links.splice(index, 1);
      this._over();
      this._typed();
    }));
    if (this.answers) chips.unshift(chip("reply", `${called(this.answers.author)}: ${gist(this.answers)}`, () => {
      this.answers = null;
      this._over();
    }));
    this.over.replaceChildren(...chips);
    this.over.hidden = !chips.length;
  }

  _attach() {
    const box = dialog("Attach a link");
    const said = trouble();
    const link = text("A link", { hint: "magnet:?xt=…", lines: 2, note: "The file itself stays where it is: they fetch it with the link when they like." });
    const mine = [...live.shares.values()].filter((share) => share.link).sort((a, b) => clean(a.name).localeCompare(clean(b.name)));
    const pick = mine.length ? select("Or what you offer", [["", "–"], ...mine.slice(0, 200).map((share) => [share.link, clean(share.name)])]) : null;
    box.body.append(link.node, ...(pick ? [pick.node] : []), said);
    box.foot.append(button("Attach it", () => {
      const wanted = link.value || pick?.value || "";
      if (!/^[a-z][a-z0-9+.-]*:\S+$/i.test(wanted) || wanted.length > 2048) return write(said, "This is no link.");
      if (this.links.length >= MOST) return write(said, `At most ${MOST} links go with one message.`);
      this.links.push(wanted);
      this._over();
      this._typed();
      box.close();
      this.field.focus();
      return undefined;
    }, { kind: "main" }));
    link.input.focus();
  }
}
