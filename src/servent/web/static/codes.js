// <sv-codes>: hand-overs by a spoken code that are under way: the code to say, how far it is, and the way out.

import { ask, part as quoted, press, whole } from "./ask.js";
import { bytes, clean, duration, el, upper, write } from "./format.js";
import { icon } from "./icons.js";
import { live } from "./live.js";
import { plural } from "./transfer_words.js";

const LINGER = 600; // s that an ended one stays
const ENDED = ["done", "failed", "cancelled"];
const WORDS = { preparing: "Getting ready", waiting: "Waiting for them to say it", meeting: "Meeting", moving: "Moving", done: "Done", failed: "Failed", cancelled: "Cancelled" };

class Codes extends HTMLElement {
  connectedCallback() {
    this.cards = new Map();
    this.gone = new Set();
    this.setAttribute("aria-live", "polite");
    this._stop = live.watch(["codes", "transfers"], () => this.paint(), 500);
  }

  disconnectedCallback() {
    this._stop?.();
    this.replaceChildren();
  }

  paint() {
    const now = Date.now() / 1000;
    const shown = [...live.codes.values()].filter((code) => !this.gone.has(code.id) && (!ENDED.includes(code.state) || now - code.started < LINGER));
    shown.sort((a, b) => b.started - a.started);
    const ids = new Set(shown.map((code) => code.id));
    for (const [id, card] of this.cards) if (!ids.has(id)) {
      card.node.remove();
      this.cards.delete(id);
    }
    shown.forEach((code, index) => {
      if (!this.cards.has(code.id)) this.cards.set(code.id, this._card(code));
      const card = this.cards.get(code.id);
      if (this.children[index] !== card.node) this.insertBefore(card.node, this.children[index] ?? null);
      this._fill(card, code, now);
    });
  }

  _card(code) {
    const card = {
      title: el("strong", { dir: "auto" }), state: el("span", { class: "outcome" }), said: el("p", { class: "spoken", id: `code-${code.id}` }), why: el("p", { class: "muted", dir: "auto" }),
      trouble: el("p", { class: "why problem", role: "alert" }),
      copy: el("sv-copy", { "data-from": `code-${code.id}` }),
      end: el("button", { class: "quiet-button small-button", type: "button" }, el("span", { class: "label" }, "Cancel")),
    };
    card.end.addEventListener("click", press(card.end, "Ending it…", async () => {
      if (!ENDED.includes(live.codes.get(code.id)?.state)) await ask("DELETE", `/codes/${quoted(code.id)}`);
      this.gone.add(code.id);
      this.paint();
    }, (problem) => write(card.trouble, problem ? whole(problem) : "")));
    card.node = el("section", { class: "card code-card" },
      el("div", { class: "code-head" }, icon(code.sending ? "send" : "get"), card.title, card.state), card.said,
      card.why, card.trouble, el("div", { class: "form-foot" }, card.copy, card.end));
    return card;
  }

  _fill(card, code, now) {
    const whom = code.peer_name ? (code.sending ? ` to ${clean(code.peer_name)}` : ` from ${clean(code.peer_name)}`) : "";
    write(card.title, `${clean(code.name || (code.sending ? "A file" : "What the code names"))}${whom}`);
    write(card.state, [WORDS[code.state] ?? clean(code.state), code.files ? plural(code.files, "file") : "", code.size_bytes ? bytes(code.size_bytes) : ""].filter(Boolean).join(" · "));
    const open = ["preparing", "waiting"].includes(code.state) && code.sending;
    write(card.said, open ? clean(code.code) : "");
    card.said.hidden = card.copy.hidden = !open;
    const left = open && code.expires ? ` Good for ${duration(code.expires - now)}.` : "";
    write(card.why, `${upper(clean(code.reason))}${left}`);
    card.node.dataset.state = code.state;
    write(card.end.firstChild, ENDED.includes(code.state) ? "Put away" : "Cancel");
  }
}
customElements.define("sv-codes", Codes);
