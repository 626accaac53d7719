// <sv-friends>: who asks, who is here, who is not; each with what can be done. Adding somebody is a window of its own.

import { ask, part as quoted, patch, post, press, whole } from "./ask.js";
import { button, confirmed, dialog } from "./dialog.js";
import { ago, select, text, trouble } from "./forms.js";
import { clean, el, peerName, upper, write } from "./format.js";
import { icon } from "./icons.js";
import { live } from "./live.js";
import { addressOf } from "./talk_news.js";
import { avatar, called, cleanLines, dot, name, PRESENCE, settle } from "./talk_words.js";
import { toast } from "./toast.js";

const RANK = { available: 0, match: 1, away: 2, offline: 3 };
const GROUPS = [
  ["asking", "They ask you", (friend) => friend.bond === "asking"],
  ["here", "Here", (friend) => friend.bond === "friend" && friend.presence !== "offline"],
  ["gone", "Not here", (friend) => friend.bond === "friend" && friend.presence === "offline"],
  ["asked", "You asked them", (friend) => friend.bond === "asked"],
];

const small = (word, sign, kind = "quiet") => el("button", { class: `${kind}-button small-button`, type: "button" }, ...(sign ? [icon(sign)] : []), el("span", { class: "label" }, word));

function about(friend) {
  if (friend.bond === "asked") return `Asked ${ago(friend.asked)}; they hear of it when you are both here`;
  if (friend.presence === "offline") return friend.seen ? `Last here ${ago(friend.seen)}` : "Offline";
  const what = friend.presence === "match" ? friend.doing || PRESENCE.match : PRESENCE[friend.presence];
  return [upper(clean(what)), clean(friend.note)].filter(Boolean).join(" · ");
}

class Friends extends HTMLElement {
  connectedCallback() {
    this.rows = new Map(); // id -> { node, said }
    this.groups = GROUPS.map(([key, word, fits]) => {
      const list = el("ul", { class: "friend-list", "aria-label": word });
      const count = el("span", { class: "chip-count muted" });
      return { key, fits, list, count, node: el("section", { class: "friend-group", "data-group": key, hidden: true }, el("h2", { class: "friend-title" }, word, count), list) };
    });
    this.nothing = el("div", { class: "card empty", hidden: true }, el("p", { class: "empty-title" }), el("p", { class: "empty-text" }));
    this.said = trouble();
    this.replaceChildren(el("div", { class: "tools" }, el("sv-presence"), button("Add a friend", () => addFriend(), { kind: "main", sign: "add" })), this.said, ...this.groups.map(({ node }) => node), this.nothing);
    this._stop = live.watch(["friends"], () => this.paint(), 150);
    this._clock = setInterval(() => this.paint(), 30_000);
  }

  disconnectedCallback() {
    this._stop?.();
    clearInterval(this._clock);
    this.rows?.clear();
    this.replaceChildren();
  }

  paint() {
    const friends = [...live.friends.values()].sort((a, b) => RANK[a.presence] - RANK[b.presence] || called(a.person).localeCompare(called(b.person)) || (a.id < b.id ? -1 : 1));
    for (const id of [...this.rows.keys()]) if (!live.friends.has(id)) this.rows.delete(id);
    for (const group of this.groups) {
      const its = friends.filter(group.fits);
      group.node.hidden = !its.length;
      write(group.count, String(its.length));
      settle(group.list, its.map((friend) => this._row(friend)));
    }
    const some = this.groups.some(({ node }) => !node.hidden);
    this.nothing.hidden = some;
    if (some) return;
    const told = live.known.has("friends");
    write(this.nothing.children[0], told ? "No friends yet" : live.connection === "away" ? "The node is away" : "Asking the node…");
    write(this.nothing.children[1], told ? "Add somebody by their ticket, or somebody you already share a network with. They are asked, and both of you see each other when they say yes." : "");
  }

  // A row is made again only when what it shows changed: focus and hover stay.
  _row(friend) {
    const sign = JSON.stringify([friend, about(friend)]);
    const known = this.rows.get(friend.id);
    if (known?.sign === sign) return known.node;
    const focused = known?.node.contains(document.activeElement) ? document.activeElement.dataset.act : null;
    const node = friend.bond === "asking" ? this._asking(friend) : this._friend(friend);
    this.rows.set(friend.id, { sign, node });
    if (known?.node.isConnected) {
      known.node.replaceWith(node);
      if (focused) node.querySelector(`[data-act="${focused}"]`)?.focus();
    }
    return node;
  }

  _work(control, doing, work) {
    control.addEventListener("click", press(control, doing, work, (problem) => write(this.said, problem ? whole(problem) : "")));
    return control;
  }

  _asking(friend) {
    const who = called(friend.person);
    const yes = small("Accept", "check", "main");
    const no = small("Decline");
    const block = small("Decline and block", "", "danger");
    const answer = (body) => async () => {
      await post(`/friends/${quoted(friend.id)}/answer`, body);
      if (body.answer === "no") live.remove("friends", friend.id);
    };
    this._work(yes, "Accepting…", async () => {
      if (friend.person.warning && !(await confirmed(`Accept ${who}?`, [friend.person.warning, "Ask them over a way that you trust before you say yes."], "Accept anyway"))) return;
      await answer({ answer: "yes" })();
    });
    this._work(no, "Declining…", answer({ answer: "no" }));
    this._work(block, "Blocking…", async () => {
      if (await confirmed(`Block ${who}?`, ["They can ask no more, and nothing of them reaches this node. They are not told."], "Decline and block")) await answer({ answer: "no", block: true })();
    });
    for (const each of [yes, no, block]) each.setAttribute("aria-label", `${each.textContent}: ${who}`);
    return el("li", { class: "friend asking" }, avatar(friend.person),
      el("div", { class: "friend-what" }, el("p", { class: "friend-name" }, name(friend.person), el("span", { class: "muted small-text" }, ago(friend.asked))),
        ...(friend.note_asked ? [el("blockquote", { class: "friend-words", dir: "auto" }, cleanLines(friend.note_asked))] : []),
        ...(friend.person.warning ? [el("p", { class: "friend-warning", role: "note" }, icon("warn"), clean(friend.person.warning))] : [])),
      el("div", { class: "friend-actions" }, yes, no, block));
  }

  _friend(friend) {
    const who = called(friend.person);
    const actions = el("div", { class: "friend-actions" });
    const round = (node, word, act) => {
      node.classList.add("round");
      node.dataset.act = act;
      node.title = word;
      node.setAttribute("aria-label", `${word}: ${who}`);
      return node;
    };
    if (friend.bond === "friend") {
      const write_ = el("a", { href: addressOf(`peer:${friend.id}`) }, icon("talk"), ...(friend.unread ? [el("span", { class: "unread-badge" }, friend.unread > 99 ? "99+" : String(friend.unread))] : []));
      actions.append(round(write_, friend.unread ? `Write; ${friend.unread} unread` : "Write", "write"));
      if (friend.shares && friend.presence !== "offline") actions.append(round(el("a", { href: `/browse?peer=${quoted(friend.id)}` }, icon("browse")), "Browse what they share", "browse"));
    }
    actions.append(round(el("button", { type: "button", "aria-haspopup": "dialog", onclick: () => this._more(friend) }, icon("more")), "Name, silence, end", "more"));
    return el("li", { class: "friend", "data-presence": friend.presence }, el("span", { class: "avatar-room" }, avatar(friend.person), dot(friend.presence)),
      el("div", { class: "friend-what" }, el("p", { class: "friend-name" }, name(friend.person), ...(friend.silent ? [el("span", { class: "muted", title: "No notice when they come", role: "img", "aria-label": "silenced" }, icon("silent"))] : [])),
        el("p", { class: "friend-about", dir: "auto" }, about(friend)),
        ...(friend.person.warning ? [el("p", { class: "friend-warning", role: "note" }, icon("warn"), clean(friend.person.warning))] : [])), actions);
  }

  _more(friend) {
    const who = called(friend.person);
    const box = dialog(who);
    const said = trouble();
    const fail = (problem) => write(said, problem ? whole(problem) : "");
    const petname = text("Your name for them", { value: clean(friend.person.petname ?? ""), hint: clean(friend.person.name), note: "Only you see it. It stands alone, because nobody else can look like it." });
    petname.input.maxLength = 64;
    const save = small("Save the name", "", "main");
    save.addEventListener("click", press(save, "Saving…", async () => {
      await patch(`/peers/${quoted(friend.id)}`, { petname: petname.value });
      box.close();
      toast(petname.value ? `You call them ${petname.value} now` : "They go by their own name again");
    }, fail));
    const silent = small(friend.silent ? "Tell me when they come" : "Don't tell me when they come", "silent");
    silent.addEventListener("click", press(silent, "Saving…", async () => {
      live.merge("friends", await patch(`/friends/${quoted(friend.id)}`, { silent: !friend.silent }));
      box.close();
    }, fail));
    const end = small(friend.bond === "asked" ? "Take the question back" : "End the friendship", "remove", "danger");
    end.addEventListener("click", press(end, "Ending it…", async () => {
      if (friend.bond === "friend" && !(await confirmed(`End the friendship with ${who}?`, ["Neither of you sees when the other is here, and neither can write to the other. What was written stays on this node until you forget it."], "End it"))) return;
      await ask("DELETE", `/friends/${quoted(friend.id)}`);
      live.remove("friends", friend.id);
      box.close();
    }, fail));
    box.body.append(el("p", { class: "full-id" }, clean(friend.id)), petname.node, el("div", { class: "drawer-buttons" }, save, ...(friend.bond === "friend" ? [silent] : []), end), said);
    petname.input.focus();
  }
}
customElements.define("sv-friends", Friends);

// Ask somebody to be friends. `given`: a ticket or an id that is known already.
export function addFriend(given = "") {
  const box = dialog("Add a friend");
  const bound = new Set(live.friends.keys());
  const known = [...live.peers.values()].filter((peer) => !peer.blocked && !bound.has(peer.id)).sort((a, b) => peerName(a).localeCompare(peerName(b)));
  const who = text("Their ticket or id", { value: given, hint: "servent:…", lines: 2, note: "They find theirs under Invite, and servent ticket prints it." });
  const pick = known.length && !given ? select("Or somebody your node knows", [["", "–"], ...known.slice(0, 300).map((peer) => [peer.id, `${peerName(peer)} (${clean(peer.id.slice(0, 4))})${peer.networks?.length ? `, ${clean(peer.networks[0])}` : ""}`])]) : null;
  const note = text("A few words, so that they know who asks", { hint: "We met at the workshop" });
  note.input.maxLength = 200;
  const petname = text("What you call them", { hint: "only you see it" });
  petname.input.maxLength = 64;
  const said = trouble();
  const send = el("button", { class: "main-button", type: "submit" }, el("span", { class: "label" }, "Ask them"));
  const form = el("form", { class: "dialog-part" }, who.node, ...(pick ? [pick.node] : []), note.node, petname.node, said, el("div", { class: "dialog-foot" }, send));
  const go_ = press(send, "Asking…", async () => {
    const peer = who.value || pick?.value || "";
    if (!peer) {
      write(said, "Nobody was named. Paste their ticket, or choose somebody.");
      return;
    }
    const friend = await post("/friends", { peer, note: note.value, petname: petname.value }, { wait: 60_000 });
    live.merge("friends", friend);
    box.close();
    toast(friend.bond === "friend" ? `${called(friend.person)} is a friend now` : `${called(friend.person)} is asked`);
  }, (problem) => write(said, problem ? whole(problem) : ""));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    go_();
  });
  box.body.append(form);
  (given ? note : who).input.focus();
}

