// The windows of rooms and conversations: a new room, rooms to join, settings, search in the own history, links that were sent.

import { go } from "./address.js";
import { ask, get, part as quoted, patch, post, press, whole } from "./ask.js";
import { button, confirmed, dialog, whither } from "./dialog.js";
import { select, text, trouble } from "./forms.js";
import { addFriend } from "./friends.js";
import { bytes, clean, el, peerName, write } from "./format.js";
import { icon } from "./icons.js";
import { live, Problem } from "./live.js";
import { query } from "./net.js";
import { invite, rules } from "./talk_members.js";
import { addressOf } from "./talk_news.js";
import { briefly, called, cleanLines } from "./talk_words.js";
import { toast } from "./toast.js";

const POLICIES = [["open", "Open: every member of the network may enter"], ["invite", "By invitation"]];
const SLOW = [["0", "None"], ["5", "5 seconds"], ["10", "10 seconds"], ["30", "30 seconds"], ["60", "a minute"], ["300", "5 minutes"], ["3600", "an hour"]];
const SETTLE = 250; // ms after the last letter of a search

const networkName = (id) => clean([...live.networks.values()].find((one) => one.id === id || one.name === id)?.name ?? id);
export const network = (room) => networkName(room.network);

function form(title, word, fields, work) {
  const box = dialog(title);
  const said = trouble();
  const save = el("button", { class: "main-button", type: "submit" }, el("span", { class: "label" }, word));
  const node = el("form", { class: "dialog-part" }, ...fields.map((field) => field.node), said, el("div", { class: "dialog-foot" }, save));
  const send = press(save, "Working…", () => work(box), (problem) => write(said, problem ? whole(problem) : ""));
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    send();
  });
  box.body.append(node);
  fields[0].input.focus();
  return box;
}

export function newRoom() {
  const networks = [...live.networks.values()].filter((one) => !one.removed);
  const name = text("Its name", { hint: "workshop" });
  name.input.maxLength = 48;
  const topic = text("What it is about");
  topic.input.maxLength = 300;
  const policy = select("Who may enter", POLICIES);
  const where = select("In the network", networks.map((one) => [one.id, clean(one.name)]));
  form("New room", "Make it", [name, topic, policy, ...(networks.length > 1 ? [where] : [])], async (box) => {
    if (!name.value) throw new Problem({ title: "The room has no name yet", advice: "Give it one that its members know" }, 0);
    const room = await post("/rooms", { name: name.value, topic: topic.value, policy: policy.value, network: networks.length > 1 ? where.value : "" });
    live.merge("rooms", room);
    box.close();
    go(addressOf(`room:${room.id}`));
  });
}

export async function join(room) {
  const now = await post(`/rooms/${quoted(room.id)}/join`, undefined, { wait: 60_000 });
  live.merge("rooms", now);
  return now;
}

export function inviteTo(room) {
  const known = new Map([...live.friends.values()].filter((friend) => friend.bond === "friend").map((friend) => [friend.id, called(friend.person)]));
  for (const peer of live.peers.values()) if (!peer.blocked && !known.has(peer.id)) known.set(peer.id, `${peerName(peer)} (${clean(peer.id.slice(0, 4))})`);
  invite(room, [...known].slice(0, 400).map(([id, words]) => ({ id, words })));
}

// What concerns the room for me, and for moderators what it is.
export function roomSettings(room) {
  const conversation = `room:${room.id}`;
  const moderator = rules(room) && !room.closed;
  const box = dialog(moderator ? `Settings of ${room.name}` : room.name);
  const said = trouble();
  const fail = (problem) => write(said, problem ? whole(problem) : "");
  const act = (word, doing, work, kind = "quiet", sign = "") => {
    const node = el("button", { class: `${kind}-button small-button`, type: "button" }, ...(sign ? [icon(sign)] : []), el("span", { class: "label" }, word));
    node.addEventListener("click", press(node, doing, work, fail));
    return node;
  };
  if (moderator) {
    const name = text("Name", { value: clean(room.name) });
    name.input.maxLength = 48;
    const topic = text("Topic", { value: clean(room.topic), lines: 2 });
    topic.input.maxLength = 300;
    const policy = select("Who may enter", POLICIES, { value: room.policy });
    const slow = select("Pause between two messages of one member", SLOW.some(([key]) => Number(key) === room.slow) ? SLOW : [[String(room.slow), `${room.slow} seconds`], ...SLOW], { value: room.slow });
    box.body.append(name.node, topic.node, policy.node, slow.node, el("div", { class: "form-foot" }, act("Save", "Saving…", async () => {
      const changes = { ...(name.value !== room.name ? { name: name.value } : {}), ...(topic.value !== room.topic ? { topic: topic.value } : {}), ...(policy.value !== room.policy ? { policy: policy.value } : {}), ...(Number(slow.value) !== room.slow ? { slow: Number(slow.value) } : {}) };
      if (Object.keys(changes).length) live.merge("rooms", await patch(`/rooms/${quoted(room.id)}`, changes));
      box.close();
    }, "main")));
  } else if (room.topic) box.body.append(el("p", { dir: "auto" }, clean(room.topic)));
  box.body.append(said, el("div", { class: "drawer-buttons" },
    ...(room.joined && !room.closed ? [act("Invite", "", async () => {
      box.close();
      inviteTo(room);
    }, "quiet", "invite")] : []),
    act(room.silent ? "Give me notices again" : "No notices, unless I am named", "Saving…", async () => {
      await patch(`/conversations/${quoted(conversation)}`, { silent: !room.silent });
      live.merge("rooms", { id: room.id, silent: !room.silent });
      box.close();
    }, "quiet", "silent"),
    ...(room.standing !== "owner" || room.closed ? [act("Leave", "Leaving…", async () => {
      if (!(await confirmed(`Leave ${room.name}?`, ["Its messages go from your node; they stay with its members."], "Leave"))) return;
      await post(`/rooms/${quoted(room.id)}/leave`);
      box.close();
      go("/talk");
    }, "danger")] : []),
    ...(room.standing === "owner" && !room.closed ? [act("Close the room", "Closing…", async () => {
      if (!(await confirmed(`Close ${room.name} for everybody?`, ["Nobody can write in it any more, and it cannot be opened again."], "Close it for good"))) return;
      await ask("DELETE", `/rooms/${quoted(room.id)}`);
      box.close();
    }, "danger")] : [])));
}

// A person's side of a conversation.
export function peerSettings(row) {
  const box = dialog(called(row.person));
  const said = trouble();
  const act = (word, doing, work, kind = "quiet", sign = "") => {
    const node = el("button", { class: `${kind}-button small-button`, type: "button" }, ...(sign ? [icon(sign)] : []), el("span", { class: "label" }, word));
    node.addEventListener("click", press(node, doing, work, (problem) => write(said, problem ? whole(problem) : "")));
    return node;
  };
  box.body.append(el("p", { class: "full-id" }, clean(row.person?.id ?? "")), ...(row.person?.warning ? [el("p", { class: "friend-warning", role: "note" }, icon("warn"), clean(row.person.warning))] : []), said, el("div", { class: "drawer-buttons" },
    el("a", { class: "quiet-button small-button", href: `/browse?peer=${quoted(row.person?.id ?? "")}`, onclick: () => box.close() }, icon("browse"), "Browse what they share"),
    act(row.silent ? "Give me notices again" : "No notices of this", "Saving…", async () => {
      await patch(`/conversations/${quoted(row.id)}`, { silent: !row.silent });
      live.merge("conversations", { id: row.id, silent: !row.silent });
      box.close();
    }, "quiet", "silent"),
    act("Forget what was said", "Forgetting…", async () => {
      if (!(await confirmed(`Forget what you and ${called(row.person)} wrote?`, ["It goes from this node alone; what they have stays theirs."], "Forget it"))) return;
      await ask("DELETE", `/conversations/${quoted(row.id)}/messages`);
      box.close();
      dispatchEvent(new CustomEvent("servent-talk-forgotten", { detail: row.id }));
    }, "danger", "remove")));
}

// Rooms that can be entered: invitations, and open ones of the networks.
export function moreRooms() {
  const box = dialog("Rooms", { wide: true });
  const list = el("ul", { class: "room-choice" });
  const said = trouble();
  const paint = () => {
    const rooms = [...live.rooms.values()].filter((room) => !room.joined && !room.closed && room.standing !== "banned");
    rooms.sort((a, b) => (b.standing === "invited") - (a.standing === "invited") || b.members - a.members);
    list.replaceChildren(...rooms.map((room) => {
      const enter = el("button", { class: "main-button small-button", type: "button", "aria-label": `Join ${clean(room.name)}` }, el("span", { class: "label" }, "Join"));
      enter.addEventListener("click", press(enter, "Joining…", async () => {
        const now = await join(room);
        box.close();
        go(addressOf(`room:${now.id}`));
      }, (problem) => write(said, problem ? whole(problem) : "")));
      const no = el("button", { class: "quiet-button small-button", type: "button" }, el("span", { class: "label" }, "Decline"));
      no.addEventListener("click", press(no, "Declining…", () => post(`/rooms/${quoted(room.id)}/leave`).then(() => live.remove("rooms", room.id)).then(paint), (problem) => write(said, problem ? whole(problem) : "")));
      return el("li", {}, icon("room"), el("div", { class: "what" }, el("span", { class: "who" }, el("span", { class: "name", dir: "auto" }, clean(room.name)), ...(room.standing === "invited" ? [el("span", { class: "mark" }, "invited")] : [])),
        el("span", { class: "why", dir: "auto" }, [clean(room.topic), `${room.members} ${room.members === 1 ? "member" : "members"}, ${room.present} here`, network(room), room.owner ? `of ${called(room.owner)}` : ""].filter(Boolean).join(" · ")),
        ...(room.why ? [el("span", { class: "why warning", dir: "auto" }, clean(room.why))] : [])), ...(room.standing === "invited" ? [no] : []), enter);
    }));
    if (!rooms.length) list.replaceChildren(el("li", { class: "muted" }, "No other room was heard of. Members of your networks tell of theirs when they are here."));
  };
  paint();
  box.body.append(said, list);
  box.foot.append(button("New room", () => {
    box.close();
    newRoom();
  }, { sign: "add" }));
}

// Search in what was said, here alone.
export function searchTalk(within = "", title = "") {
  const box = dialog("Search messages", { wide: true });
  const field = el("input", { class: "path-field", type: "search", placeholder: "words, \"a phrase\", -without", "aria-label": "Search messages", maxlength: 500 });
  const only = within ? el("label", { class: "check-line" }, el("input", { type: "checkbox" }), el("span", {}, `Only in ${clean(title)}`)) : null;
  const state = el("p", { class: "note", role: "status" }, "Your own history; nobody else is asked.");
  const list = el("ul", { class: "talk-hits" });
  let timer = 0;
  let count = 0;
  const look = async () => {
    const wanted = field.value.trim();
    count += 1;
    const mine = count;
    if (!wanted) return list.replaceChildren();
    try {
      const hits = await get(`/talk/search${query({ text: wanted, conversation: only?.firstChild.checked ? within : "" })}`);
      if (mine !== count) return undefined;
      write(state, hits.length ? `${hits.length}${hits.length === 50 ? " or more" : ""} found, newest first` : "Nothing was found");
      list.replaceChildren(...hits.map((hit) => el("li", {}, el("a", { class: "talk-hit", href: `${addressOf(hit.message.conversation)}?message=${hit.message.id}`, onclick: () => box.close() },
        el("span", { class: "talk-hit-head" }, el("strong", { dir: "auto" }, clean(hit.title)), el("span", { class: "muted" }, `${called(hit.message.author)} · ${briefly(hit.message.sent)}`)), el("span", { class: "talk-hit-text", dir: "auto" }, ...marked(hit))))));
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      write(state, whole(problem));
    }
    return undefined;
  };
  const soon = () => {
    clearTimeout(timer);
    timer = setTimeout(look, SETTLE);
  };
  field.addEventListener("input", soon);
  only?.addEventListener("change", soon);
  box.body.append(field, ...(only ? [only] : []), state, list);
  field.focus();
}

function marked({ message, ranges }) {
  const letters = [...message.text];
  const pieces = [];
  let at = 0;
  for (const [from, to] of ranges) {
    if (from < at) continue;
    pieces.push(cleanLines(letters.slice(at, from).join("")), el("mark", {}, cleanLines(letters.slice(from, to).join(""))));
    at = to;
  }
  return [...pieces, cleanLines(letters.slice(at).join(""))];
}

// Something that was sent as a link: fetched only when the person says so.
export async function getLink(link, name = "", size = null) {
  const into = whither();
  const yes = await confirmed(`Get ${name || "what this link names"}?`, [[size ? `${bytes(size)}, as the link says.` : "", "It is checked as it comes, whoever it comes from."].filter(Boolean).join(" ")], "Get it", into.node, el("p", { class: "code pass-link" }, clean(link)));
  if (!yes) return;
  try {
    const transfer = await post("/downloads", { link, to: into.value() ?? null }, { wait: 60_000 });
    live.merge("transfers", transfer);
    toast(`Getting ${clean(transfer.name || name)}`, { sign: "get", open: { word: "Transfers", press: () => go("/transfers") } });
  } catch (problem) {
    if (!(problem instanceof Problem)) throw problem;
    toast(whole(problem), { tone: "failed", stays: 14000 });
  }
}

export function openLink(link) {
  if (/^magnet:/i.test(link)) return getLink(link, clean(new URLSearchParams(link.slice(8)).get("dn") ?? ""));
  if (/^servent-project:/i.test(link)) return go(`/grid${query({ tab: "projects", join: link })}`);
  return addFriend(link);
}
