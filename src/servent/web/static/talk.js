// <sv-talk>: conversations on the left, one of them in the middle, who is in its room on the right. On a phone one at a time.

import { wanted } from "./address.js";
import { ask, get, part as quoted, post, press, whole } from "./ask.js";
import { confirmed } from "./dialog.js";
import { trouble } from "./forms.js";
import { clean, duration, el, upper, write } from "./format.js";
import { icon } from "./icons.js";
import { live, Problem } from "./live.js";
import { Composer } from "./talk_composer.js";
import { List } from "./talk_list.js";
import { Log } from "./talk_log.js";
import { Members, rules } from "./talk_members.js";
import { addressOf, attentive, looking } from "./talk_news.js";
import { getLink, join, moreRooms, network, newRoom, openLink, peerSettings, roomSettings, searchTalk } from "./talk_rooms.js";
import { called, dot, name, PRESENCE } from "./talk_words.js";
import { complain } from "./toast.js";

const READ_AFTER = 350; // ms that something is in sight before it counts as read
const MEMBERS_AFTER = 1200; // ms after a change of the room
const HIDDEN = "servent-members-hidden";

const inAddress = () => (location.pathname.startsWith("/talk/") ? decodeURIComponent(location.pathname.slice(6)) : "");

class Talk extends HTMLElement {
  connectedCallback() {
    this.open_ = null; // the conversation that is open; "" for none
    this.list = new List({ chosen: (id) => this._choose(id), rooms: moreRooms });
    this.log = new Log({
      opened: openLink, attached: (one) => getLink(one.link, clean(one.name), one.size_bytes), reply: (message) => this.composer.reply(message), back: (message) => this._back(message),
      read: (order) => this._read(order), failed: (problem) => write(this.said, whole(problem)), mayTakeBack: (message) => message.author.me || (this.room && rules(this.room)),
    });
    this.composer = new Composer((conversation, message) => this._send(conversation, message));
    this.members = new Members({ mention: (person) => this.composer.put(`${clean(person.name || person.shown)}: `) });
    this.said = trouble();
    this.named = el("h2", { class: "talk-title", dir: "auto" });
    this.about = el("p", { class: "talk-about", dir: "auto" });
    this.back = el("button", { class: "round talk-back", type: "button", "aria-label": "All conversations", onclick: () => this._choose("") }, icon("back"));
    this.find = el("button", { class: "round", type: "button", title: "Search messages", "aria-label": "Search messages", onclick: () => searchTalk(this.open_, this.row()?.title) }, icon("search"));
    this.who = el("button", { class: "round", type: "button", title: "Members", "aria-label": "Members", onclick: () => this._side() }, icon("peers"));
    this.more = el("button", { class: "round", type: "button", title: "Settings", "aria-label": "Settings of this conversation", "aria-haspopup": "dialog", onclick: () => this._settings() }, icon("settings"));
    this.enter = el("div", { class: "talk-enter", hidden: true });
    this.main = el("section", { class: "talk-main", "aria-label": "Conversation" }, el("header", { class: "talk-head" }, this.back, el("div", { class: "talk-names" }, this.named, this.about), this.find, this.who, this.more), this.said, this.log.node, this.enter, this.composer.node);
    this.side = el("aside", { class: "talk-side", "aria-label": "Members" }, el("div", { class: "talk-side-head" }, el("h2", {}, "Members"), el("button", { class: "round", type: "button", "aria-label": "Close members", onclick: () => this._side(false) }, icon("close"))), this.members.node);
    this.side.addEventListener("keydown", (event) => event.key === "Escape" && this._side(false));
    this.none = el("section", { class: "talk-main talk-nothing" }, el("div", { class: "empty" }, icon("talk"), el("p", { class: "empty-title" }, "Nothing is open"), el("p", { class: "empty-text" }, "Choose a conversation, join a room, or make one."),
      el("div", { class: "empty-buttons" }, el("button", { class: "quiet-button", type: "button", onclick: moreRooms }, icon("room"), el("span", {}, "Rooms")), el("button", { class: "main-button", type: "button", onclick: newRoom }, icon("add"), el("span", {}, "New room")))));
    this.replaceChildren(el("div", { class: "talk" }, this.list.node, this.none, this.main, this.side));
    this._stop = [
      live.watch(["conversations", "friends", "rooms"], () => this.paint(), 100),
      live.hear((topic, data) => this._heard(topic, data)),
    ];
    this._popped = () => this._fromAddress();
    this._looked = () => attentive() && this.log.seen();
    this._action = ({ detail }) => ({ rooms: moreRooms, room: newRoom, search: () => searchTalk() })[detail]?.();
    this._forgot = ({ detail }) => detail === this.open_ && this.show(detail, true);
    addEventListener("popstate", this._popped);
    addEventListener("focus", this._looked);
    document.addEventListener("visibilitychange", this._looked);
    addEventListener("servent-talk", this._action);
    addEventListener("servent-talk-forgotten", this._forgot);
    this._fromAddress();
  }

  disconnectedCallback() {
    for (const stop of this._stop ?? []) stop();
    removeEventListener("popstate", this._popped);
    removeEventListener("focus", this._looked);
    document.removeEventListener("visibilitychange", this._looked);
    removeEventListener("servent-talk", this._action);
    removeEventListener("servent-talk-forgotten", this._forgot);
    clearTimeout(this._reading);
    clearTimeout(this._membering);
    this.log?.close();
    looking.at = "";
    document.documentElement.classList.remove("in-talk");
    this.replaceChildren();
  }

  row() {
    return this.list.all().get(this.open_) ?? this.told;
  }

  get room() {
    return this.open_?.startsWith("room:") ? live.rooms.get(this.open_.slice(5)) : null;
  }

  // The address changes with the conversation, and nothing is drawn anew for it.
  _choose(id) {
    const target = id ? addressOf(id) : "/talk";
    if (target !== location.pathname) history.pushState({ page: target }, "", target);
    this.show(id);
    if (id) this.composer.focus();
    else this.list.node.querySelector(".talk-row")?.focus();
  }

  _fromAddress() {
    if (!/^\/talk(\/|$)/.test(location.pathname)) return;
    const { message } = wanted();
    this.show(inAddress()).then(() => message && this.log.show(message));
  }

  async show(id, again = false) {
    if (id === this.open_ && !again) return this.paint();
    this.open_ = looking.at = id;
    this.told = null;
    this.asked = null;
    write(this.said, "");
    this.classList.toggle("opened", Boolean(id));
    document.documentElement.classList.toggle("in-talk", Boolean(id));
    this.none.hidden = Boolean(id);
    this.main.hidden = !id;
    this.side.hidden = true;
    if (!id) {
      this.log.clear();
      this.log.conversation = "";
      return this.paint();
    }
    const unread = this.row()?.unread ?? 1;
    this.composer.open(id, clean(this.row()?.title ?? ""));
    this.paint();
    if (!this.row()) await this._ask(id);
    if (this.open_ !== id) return undefined;
    this._side(!localStorage.getItem(HIDDEN) && innerWidth > 1280, false);
    return this.log.open(id, unread);
  }

  // A conversation that is in no list, or goes by a name.
  async _ask(id) {
    try {
      this.told = await get(`/conversations/${quoted(id)}`);
      if (this.open_ !== id) return;
      if (this.told.id !== id) {
        history.replaceState({ page: addressOf(this.told.id) }, "", addressOf(this.told.id));
        this.open_ = "";
        await this.show(this.told.id);
        return;
      }
      this.composer.open(id, clean(this.told.title));
      this.paint();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      write(this.said, whole(problem));
    }
  }

  paint() {
    this.list.paint(this.open_);
    if (!this.open_) return;
    const row = this.row();
    const { room } = this;
    const friend = live.friends.get(row?.person?.id);
    const presence = friend?.presence ?? row?.presence ?? "offline";
    const sign = JSON.stringify([row?.title, row?.person, presence, room?.name]);
    if (sign !== this._namedAs) {
      this._namedAs = sign;
      this.named.replaceChildren(...(room || row?.kind === "room" ? [icon("room"), clean(room?.name ?? row?.title)] : row?.person ? [dot(presence), name(row.person)] : [clean(row?.title ?? "")]));
    }
    write(this.about, room ? [clean(room.topic), `${room.members} ${room.members === 1 ? "member" : "members"}, ${room.present} here`, network(room)].filter(Boolean).join(" · ")
      : row?.kind === "peer" ? [presence === "match" ? upper(clean(friend?.doing || PRESENCE.match)) : PRESENCE[presence], clean(friend?.note ?? "")].filter(Boolean).join(" · ") : "");
    this.who.hidden = !room?.joined;
    this._held(row, room, friend);
    if (room) this._membersSoon(room);
    const field = this.composer.field;
    const hint = `Message ${clean(row?.kind === "peer" ? called(row.person) : room?.name ?? row?.title ?? "")}`;
    if (field.placeholder !== hint) field.placeholder = hint;
  }

  _held(row, room, friend) {
    const now = Date.now() / 1000;
    let why = "";
    if (room?.closed) why = "This room is closed.";
    else if (room?.muted_until > now) why = room.muted_until - now > 3e7 ? "You are muted here." : `You are muted here for another ${duration(room.muted_until - now)}.`;
    else if (room && !room.joined) why = clean(room.why || "You are not in this room.");
    else if (row?.kind === "peer" && row.person && !row.person.me && live.known.has("friends") && friend?.bond !== "friend") why = `You write to each other once you are friends${friend?.bond === "asked" ? "; you asked, and they have not answered yet" : friend?.bond === "asking" ? "; they asked you, in People" : ""}.`;
    this.composer.hold(why);
    const enters = Boolean(room && !room.joined && !room.closed && (room.policy === "open" || room.standing === "invited"));
    if (enters && this.enter.hidden) {
      const button = el("button", { class: "main-button", type: "button" }, el("span", { class: "label" }, `Join ${clean(room.name)}`));
      button.addEventListener("click", press(button, "Joining…", async () => {
        await join(room);
        await this.show(`room:${room.id}`, true);
      }, (problem) => write(this.said, problem ? whole(problem) : "")));
      this.enter.replaceChildren(button);
    }
    this.enter.hidden = !enters;
  }

  _membersSoon(room) {
    const sign = JSON.stringify([room.id, room.members, room.present, room.standing]);
    if (this.side.hidden || sign === this.asked) return;
    const first = !this.asked?.includes(room.id);
    this.asked = sign;
    clearTimeout(this._membering);
    this._membering = setTimeout(() => this.members.load(room), first ? 0 : MEMBERS_AFTER);
  }

  _side(open = this.side.hidden, said = true) {
    const { room } = this;
    const shown = open && Boolean(room?.joined);
    this.side.hidden = !shown;
    this.who.setAttribute("aria-expanded", shown);
    if (said && innerWidth > 1280) shown ? localStorage.removeItem(HIDDEN) : localStorage.setItem(HIDDEN, "1");
    if (!shown && said) this.who.focus();
    this.asked = null;
    if (shown) this._membersSoon(room);
    if (shown && said) this.side.querySelector("button")?.focus();
  }

  _settings() {
    if (this.room) roomSettings(this.room);
    else if (this.row()) peerSettings(this.row());
  }

  _heard(topic, data) {
    if (topic === "resync") return this.log.again();
    if (topic !== "messages" || data.conversation !== this.open_) return undefined;
    this.log.take(data, attentive());
    if (data.event && this.room) {
      this.asked = null;
      this._membersSoon(this.room);
    }
    if (attentive()) this.log.seen();
    return undefined;
  }

  async _send(conversation, message) {
    const made = await post(`/conversations/${quoted(conversation)}/messages`, message, { wait: 60_000 });
    if (conversation === this.open_ && !this.log.messages.has(made.id)) this.log.take(made, true);
  }

  async _back(message) {
    if (!message.author.me && !(await confirmed("Remove this message for everybody?", [`${called(message.author)} wrote it. Its text goes from the nodes of all members.`], "Remove it"))) return;
    try {
      await ask("DELETE", `/conversations/${quoted(message.conversation)}/messages/${message.id}`);
      this.log.take({ ...message, removed: true, text: "", attachments: [] }, true);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      complain(problem);
    }
  }

  _read(order) {
    const id = this.open_;
    if (!id || !attentive() || (this.marked === id && this.markedOrder >= order)) return;
    clearTimeout(this._reading);
    this._reading = setTimeout(() => {
      if (id !== this.open_ || !attentive()) return;
      this.marked = id;
      this.markedOrder = order;
      ask("POST", `/conversations/${quoted(id)}/read`, { order }).catch(() => { this.marked = ""; });
    }, READ_AFTER);
  }
}
customElements.define("sv-talk", Talk);
