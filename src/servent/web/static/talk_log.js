// The messages of one conversation: pages of it as they are scrolled to, in order, by author and day.

import { get, part as quoted } from "./ask.js";
import { bytes, clean, el, write } from "./format.js";
import { icon } from "./icons.js";
import { Problem } from "./live.js";
import { query } from "./net.js";
import { avatar, called, cleanLines, clock, dayOf, did, exactly, gist, linked, name, settle } from "./talk_words.js";

const PAGE = 60;
const KEPT = 900; // messages drawn; older ones come again when they are scrolled to
const TOGETHER = 300; // s in which messages of one author stand together
const NEAR = 90; // px from the end that count as the end
const CATCHING = 3000; // ms between two looks at a room that catches up

export class Log {
  // opened(link), attached(attachment), reply(message), back(message), read(order), failed(problem); mayTakeBack(message).
  constructor(does) {
    this.does = does;
    this.list = el("ol", { class: "messages" });
    this.older = el("p", { class: "log-note", hidden: true });
    this.catching = el("p", { class: "log-note catching", role: "status", hidden: true }, "Asking other members for what was missed…");
    this.empty = el("div", { class: "empty", hidden: true }, el("p", { class: "empty-title" }, "Nothing was said yet"), el("p", { class: "empty-text" }, "What you write is kept on your node and on theirs, and nowhere else."));
    this.scroll = el("div", { class: "log", role: "log", "aria-live": "off", "aria-label": "Messages", tabindex: "0", onscroll: () => this._scrolled() }, this.older, this.empty, this.list, this.catching);
    this.jump = el("button", { class: "jump", type: "button", hidden: true, onclick: () => this.toEnd(true) }, icon("down"), el("span", {}, "Newest"));
    this.heard = el("p", { class: "unseen", role: "status", "aria-live": "polite" });
    this.node = el("div", { class: "log-room" }, this.scroll, this.jump, this.heard);
    this.list.addEventListener("keydown", (event) => this._key(event));
    this.list.addEventListener("focusin", (event) => this._focused(event.target.closest(".message")));
    this._resize = new ResizeObserver(() => this.stuck && this.toEnd());
    this._resize.observe(this.scroll);
    this.clear();
  }

  close() {
    this.conversation = "";
    clearTimeout(this._timer);
    this._resize.disconnect();
  }

  clear() {
    clearTimeout(this._timer);
    this.messages = new Map(); // id -> message
    this.drawn = new Map(); // id -> { sign, node }
    this.more = false;
    this.loading = false;
    this.stuck = true; // at the end, and stays there
    this.unreadAfter = ""; // the "new" line stands after this `order`; "" for none
    this.current = null;
    this.list.replaceChildren();
    this.jump.hidden = this.empty.hidden = this.older.hidden = this.catching.hidden = true;
    write(this.heard, "");
  }

  async open(conversation, unread) {
    this.clear();
    this.conversation = conversation;
    const answer = await this._page({});
    if (!answer) return;
    if (unread && answer.read_order) this.unreadAfter = answer.read_order;
    this.stuck = true;
    this.draw();
    const line = this.list.querySelector(".new-line");
    if (line && line.offsetTop < this.scroll.scrollHeight - this.scroll.clientHeight) {
      this.stuck = false;
      this.scroll.scrollTop = Math.max(0, line.offsetTop - 60);
    }
    this._scrolled();
  }

  // What was said while nobody listened.
  async again() {
    if (!this.conversation) return;
    const known = new Set(this.messages.keys());
    const answer = await this._page({});
    if (answer && known.size && answer.more && !answer.messages.some((one) => known.has(one.id))) {
      this.messages = new Map(answer.messages.map((one) => [one.id, one])); // a gap: what is older comes by scrolling
      this.more = true;
    }
    if (answer) this.draw();
  }

  async _page(which) {
    const conversation = this.conversation;
    try {
      const answer = await get(`/conversations/${quoted(conversation)}/messages${query({ limit: PAGE, ...which })}`);
      if (conversation !== this.conversation) return null;
      for (const one of answer.messages) this.messages.set(one.id, one);
      if (!which.after && (which.before || this.messages.size <= PAGE)) this.more = answer.more;
      this.catching.hidden = !answer.catching_up;
      clearTimeout(this._timer);
      if (answer.catching_up) this._timer = setTimeout(() => this.again(), CATCHING);
      return answer;
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      if (conversation === this.conversation) this.does.failed(problem);
      return null;
    }
  }

  ordered() {
    return [...this.messages.values()].sort((a, b) => (a.order < b.order ? -1 : a.order > b.order ? 1 : 0));
  }

  // One message that came or changed. `attentive`: somebody looks at it.
  take(message, attentive) {
    const fresh = !this.messages.has(message.id);
    const last = this.ordered().at(-1)?.order ?? "";
    this.messages.set(message.id, message);
    if (fresh && !message.author.me && !attentive && !this.unreadAfter) this.unreadAfter = last;
    if (message.author.me && fresh) {
      this.unreadAfter = "";
      this.stuck = true;
    }
    this.draw();
    if (fresh && !message.author.me) write(this.heard, `${called(message.author)}: ${gist(message)}`);
  }

  draw() {
    const all = this.ordered();
    if (all.length > KEPT && this.stuck) {
      for (const one of all.splice(0, all.length - KEPT)) {
        this.messages.delete(one.id);
        this.drawn.delete(one.id);
      }
      this.more = true;
    }
    const height = this.scroll.scrollHeight - this.scroll.scrollTop;
    const nodes = [];
    let before = null;
    let told = false;
    let day = "";
    for (const one of all) {
      const its = dayOf(one.sent);
      if (its !== day) nodes.push(this._line(`day-${its}`, "day-line", its));
      if (this.unreadAfter && !told && one.order > this.unreadAfter && !one.author.me) {
        told = true;
        nodes.push(this._line("new", "new-line", "New"));
        before = null;
      }
      const lead = its !== day || !before || before.event || one.event || before.author.id !== one.author.id || one.sent - before.sent > TOGETHER || one.reply_to;
      day = its;
      nodes.push(this._message(one, Boolean(lead)));
      before = one;
    }
    settle(this.list, nodes);
    this.empty.hidden = all.length > 0 || !this.catching.hidden;
    this.older.hidden = this.more || !all.length;
    write(this.older, this.more || !all.length ? "" : "This is where it begins.");
    if (this.stuck) this.toEnd();
    else if (this._prepending) this.scroll.scrollTop = this.scroll.scrollHeight - height;
    if (!this.current?.isConnected) this._focused(this.list.querySelector(".message:last-of-type"), false);
  }

  _line(key, kind, word) {
    const known = this.drawn.get(key);
    if (known) return known.node;
    const node = el("li", { class: kind, role: "separator", "aria-label": word }, el("span", {}, word));
    this.drawn.set(key, { node });
    return node;
  }

  _message(message, lead) {
    const answered = message.reply_to ? this.messages.get(message.reply_to) : null;
    const mine = message.author.me;
    const back = !message.removed && !message.event && this.does.mayTakeBack(message);
    const sign = JSON.stringify([lead, message, answered?.text, answered?.removed, back]);
    const known = this.drawn.get(message.id);
    if (known?.sign === sign) return known.node;
    const node = message.event ? this._event(message) : el("li", {
      class: `message${lead ? " lead" : ""}${message.mention ? " mention" : ""}${message.removed ? " taken" : ""}`, tabindex: "-1", "data-id": message.id, "data-state": message.state,
      "aria-label": `${called(message.author)}, ${clock(message.sent)}: ${gist(message)}`,
    }, lead ? avatar(message.author) : el("time", { class: "message-time aside", title: exactly(message.sent) }, clock(message.sent)), el("div", { class: "message-body" },
      ...(message.reply_to ? [this._quote(message, answered)] : []),
      ...(lead ? [el("p", { class: "message-head" }, mine ? el("span", { class: "person" }, el("span", { class: "person-name" }, "You")) : name(message.author), el("time", { class: "message-time", title: exactly(message.sent) }, clock(message.sent)))] : []),
      message.removed ? el("p", { class: "message-text muted" }, "taken back") : el("div", { class: "message-text", dir: "auto" }, ...linked(message.text, this.does.opened)),
      ...(message.attachments ?? []).map((one) => this._card(one)), ...this._state(message)), this._tools(message, back));
    if (known?.node.isConnected) {
      const focused = known.node === document.activeElement;
      known.node.replaceWith(node);
      if (this.current === known.node) this._focused(node, false);
      if (focused) node.focus();
    }
    this.drawn.set(message.id, { sign, node });
    return node;
  }

  _event(message) {
    return el("li", { class: "message event", tabindex: "-1", "data-id": message.id }, icon("into"), el("span", { dir: "auto" }, did(message)), el("time", { class: "message-time", title: exactly(message.sent) }, clock(message.sent)));
  }

  _quote(message, answered) {
    return el("button", { class: "quote", type: "button", tabindex: "-1", dir: "auto", onclick: () => this.show(message.reply_to) }, icon("reply"), el("span", {}, answered ? `${called(answered.author)}: ${gist(answered)}` : "an older message"));
  }

  _card(one) {
    const title = clean(one.name || one.link.slice(0, 60));
    return el("div", { class: "attachment" }, el("span", { class: "way" }, icon("file")), el("span", { class: "what" }, el("span", { class: "name", dir: "auto" }, title), el("span", { class: "why" }, one.size_bytes ? `${bytes(one.size_bytes)}, as the link says` : "a link")),
      el("button", { class: "quiet-button small-button", type: "button", "aria-label": `Get ${title}`, onclick: () => this.does.attached(one) }, icon("get"), el("span", {}, "Get")));
  }

  _state(message) {
    if (!message.author.me || message.removed) return [];
    if (message.state === "failed") return [el("p", { class: "message-state problem" }, icon("fail"), clean(message.why || "It was not delivered"))];
    if (message.state === "waiting") return [el("p", { class: "message-state", title: "Stored here; it goes when they are here" }, icon("clock"), "waiting")];
    return [el("p", { class: "message-state delivered", title: "Delivered" }, icon("check"), el("span", { class: "unseen" }, "delivered"))];
  }

  _tools(message, back) {
    const tools = el("span", { class: "message-tools" });
    const tool = (sign, word, press, kind = "") => tools.append(el("button", { class: `round ${kind}`, type: "button", tabindex: "-1", title: word, "aria-label": word, onclick: press }, icon(sign)));
    if (!message.removed) tool("reply", "Reply", () => this.does.reply(message));
    if (!message.removed && message.text) tool("copy", "Copy the text", () => navigator.clipboard?.writeText(cleanLines(message.text)));
    if (back) tool("remove", message.author.me ? "Take it back" : "Remove it for everybody", () => this.does.back(message), "danger");
    return tools;
  }

  _focused(node, take = true) {
    if (!node || node === this.current) return;
    for (const [each, value] of [[this.current, "-1"], [node, "0"]]) {
      each?.setAttribute("tabindex", value);
      for (const control of each?.querySelectorAll(".message-tools button, .quote, .attachment button, .text-link") ?? []) control.setAttribute("tabindex", value);
    }
    this.current = node;
    if (take) node.classList.add("touched");
  }

  _key(event) {
    const row = event.target.closest(".message");
    if (!row || event.target !== row) return;
    const all = [...this.list.querySelectorAll(".message")];
    const to = { ArrowUp: -1, ArrowDown: 1, Home: -Infinity, End: Infinity }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      all[Math.max(0, Math.min(all.length - 1, all.indexOf(row) + to))]?.focus();
    } else if (event.key === "r") {
      const message = this.messages.get(row.dataset.id);
      event.preventDefault();
      if (message && !message.removed && !message.event) this.does.reply(message);
    }
  }

  toEnd(asked = false) {
    this.stuck = true;
    this.scroll.scrollTop = this.scroll.scrollHeight;
    if (asked) this.scroll.focus({ preventScroll: true });
    this._scrolled();
  }

  // A message that is named elsewhere, such as by a reply or a hit; older pages are fetched until it is here.
  async show(id) {
    for (let pages = 0; !this.messages.has(id) && this.more && pages < 40; pages += 1) await this._before();
    const node = this.drawn.get(id)?.node;
    if (!node?.isConnected) return false;
    this.stuck = false;
    node.scrollIntoView({ block: "center" });
    node.focus({ preventScroll: true });
    node.classList.add("shown");
    setTimeout(() => node.classList.remove("shown"), 2000);
    return true;
  }

  async _before() {
    if (this.loading || !this.more) return;
    const first = this.ordered()[0];
    if (!first) return;
    this.loading = true;
    const answer = await this._page({ before: first.order });
    this.loading = false;
    if (!answer) return;
    this._prepending = true;
    this.draw();
    this._prepending = false;
  }

  _scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.scroll;
    this.stuck = scrollHeight - scrollTop - clientHeight < NEAR;
    this.jump.hidden = scrollHeight - scrollTop - clientHeight < clientHeight;
    if (scrollTop < 240 && this.more && this.messages.size && !this.loading) this._before();
    if (this.stuck) this.seen();
  }

  // Somebody sees the end: everything is read.
  seen() {
    const last = this.ordered().at(-1);
    if (last && this.stuck) this.does.read(last.order);
  }
}
