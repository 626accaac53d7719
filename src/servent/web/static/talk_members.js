// Who is in a room, and what a moderator can do about somebody.

import { ask, get, part as quoted, post, press, whole } from "./ask.js";
import { button, confirmed, dialog } from "./dialog.js";
import { ago, check, select, text, trouble } from "./forms.js";
import { clean, duration, el, write } from "./format.js";
import { icon } from "./icons.js";
import { Problem } from "./live.js";
import { addressOf } from "./talk_news.js";
import { avatar, called, dot, name, settle, STANDINGS } from "./talk_words.js";
import { toast } from "./toast.js";

const MOST = 300; // drawn at once; the field above finds the others
const TIMES = [["600", "10 minutes"], ["3600", "an hour"], ["86400", "a day"], ["604800", "a week"], ["", "for good"]];
const RULES = ["owner", "moderator"];
export const rules = (room) => RULES.includes(room?.standing);

export class Members {
  // mention(person) puts a name into the message that is being written.
  constructor({ mention }) {
    this.mention = mention;
    this.rows = new Map();
    this.members = [];
    this.find = el("input", { class: "search", type: "search", placeholder: "Find a member", "aria-label": "Find a member", hidden: true, oninput: () => this.paint() });
    this.groups = el("div", { class: "member-groups" });
    this.said = trouble();
    this.node = el("div", { class: "members" }, this.find, this.said, this.groups);
  }

  async load(room) {
    this.room = room;
    try {
      const members = await get(`/rooms/${quoted(room.id)}/members`);
      if (this.room?.id !== room.id) return;
      this.members = members;
      write(this.said, "");
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      write(this.said, whole(problem));
    }
    this.paint();
  }

  paint() {
    const needle = this.find.value.trim().toLowerCase();
    this.find.hidden = this.members.length < 15;
    const fits = this.members.filter((one) => !needle || `${one.person.shown} ${one.person.name} ${one.person.id}`.toLowerCase().includes(needle));
    fits.sort((a, b) => b.present - a.present || called(a.person).localeCompare(called(b.person)));
    const sections = [];
    let left = MOST;
    for (const [standing, word] of Object.entries(STANDINGS)) {
      const its = fits.filter((one) => one.standing === standing);
      if (!its.length) continue;
      const shown = its.slice(0, Math.max(0, left));
      left -= shown.length;
      const list = el("ul", { "aria-label": word });
      settle(list, shown.map((one) => this._row(one)));
      sections.push(el("section", { class: "member-group" }, el("h3", {}, `${word} `, el("span", { class: "muted" }, String(its.length))), list));
    }
    if (fits.length > MOST) sections.push(el("p", { class: "note" }, `and ${fits.length - MOST} more`));
    this.groups.replaceChildren(...sections);
  }

  _row(member) {
    const muted = member.muted_until && member.muted_until > Date.now() / 1000;
    const { person } = member;
    const here = member.present ? (member.presence === "offline" ? "available" : member.presence) : "offline";
    const row = el("button", { class: `member${member.present ? "" : " gone"}`, type: "button", "aria-haspopup": "dialog", title: person.me ? "You" : member.present ? "Here" : member.seen ? `Last seen ${ago(member.seen)}` : "Not here", onclick: () => !person.me && this._open(member) },
      el("span", { class: "avatar-room" }, avatar(person), dot(here)), el("span", { class: "member-name" }, person.me ? el("span", { class: "person" }, el("span", { class: "person-name" }, "You")) : name(person)),
      ...(muted ? [el("span", { class: "muted", role: "img", "aria-label": "muted", title: member.reason ? `Muted: ${clean(member.reason)}` : "Muted" }, icon("silent"))] : []));
    if (person.me) row.setAttribute("aria-disabled", "true");
    return el("li", {}, row);
  }

  _open(member) {
    const { room } = this;
    const { person } = member;
    const box = dialog(called(person));
    const muted = member.muted_until && member.muted_until > Date.now() / 1000;
    const facts = [STANDING_WORDS[member.standing], muted ? `muted for ${member.muted_until - Date.now() / 1000 > 3e7 ? "good" : `another ${duration(member.muted_until - Date.now() / 1000)}`}${member.reason ? `: ${clean(member.reason)}` : ""}` : member.reason && clean(member.reason)].filter(Boolean).join(" · ");
    box.body.append(el("p", { class: "muted" }, facts), ...(person.warning ? [el("p", { class: "friend-warning", role: "note" }, icon("warn"), clean(person.warning))] : []), el("p", { class: "full-id" }, clean(person.id)),
      el("div", { class: "drawer-buttons" },
        el("a", { class: "quiet-button small-button", href: addressOf(`peer:${person.id}`), onclick: () => box.close() }, icon("talk"), "Write to them"),
        ...(member.standing !== "banned" ? [button("Name them in a message", () => {
          box.close();
          this.mention(person);
        })] : [])));
    if (rules(room) && (member.standing !== "owner")) box.body.append(...this._orders(room, member, box, muted));
  }

  _orders(room, member, box, muted) {
    const banned = member.standing === "banned";
    const owner = room.standing === "owner";
    const acts = banned ? [["unban", "Lift the ban"]] : [
      muted ? ["unmute", "Let them write again"] : ["mute", "Mute: they read, and do not write"],
      ["kick", "Put out; they may come back"], ["ban", "Ban: put out and keep out"],
      ...(owner && member.standing === "member" ? [["moderator", "Make them a moderator"]] : []),
      ...(owner && member.standing === "moderator" ? [["member", "Make them a plain member"]] : []),
      ...(owner && ["member", "moderator"].includes(member.standing) ? [["owner", "Hand the room over to them"]] : []),
    ];
    const act = select("What to do", acts);
    const time = select("For how long", TIMES, { value: "3600" });
    const reason = text("Why; members read it", { hint: "a few words" });
    reason.input.maxLength = 200;
    const purge = check("Also take back what they wrote in the last day");
    const said = trouble();
    const fit = () => {
      time.node.hidden = !["mute", "ban"].includes(act.value);
      reason.node.hidden = !["mute", "ban", "kick"].includes(act.value);
      purge.node.hidden = act.value !== "ban";
    };
    act.input.addEventListener("change", fit);
    fit();
    const go = el("button", { class: "danger-button", type: "button" }, el("span", { class: "label" }, "Do it"));
    go.addEventListener("click", press(go, "Telling the members…", async () => {
      const who = called(member.person);
      if (act.value === "owner" && !(await confirmed(`Hand ${room.name} over to ${who}?`, ["They decide then who moderates, and only they can give it back."], "Hand it over"))) return;
      const timed = ["mute", "ban"].includes(act.value) && time.value ? { seconds: Number(time.value) } : {};
      await post(`/rooms/${quoted(room.id)}/moderation`, { action: act.value, peer: member.person.id, ...timed, reason: reason.node.hidden ? "" : reason.value, purge: act.value === "ban" && purge.value });
      box.close();
      toast(`${who}: ${DONE[act.value]}`);
      await this.load(room);
    }, (problem) => write(said, problem ? whole(problem) : "")));
    return [el("div", { class: "orders" }, el("h3", {}, "Order"), act.node, time.node, reason.node, purge.node, said, el("div", { class: "form-foot" }, go))];
  }
}

const STANDING_WORDS = { owner: "Owner of this room", moderator: "Moderator", member: "Member", invited: "Invited", banned: "Banned" };
const DONE = { mute: "muted", unmute: "may write again", kick: "put out", ban: "banned", unban: "may come back", moderator: "a moderator now", member: "a plain member now", owner: "owns the room now" };

// Who can be invited: friends and peers of the room's network.
export function invite(room, peers) {
  const box = dialog(`Invite to ${room.name}`);
  const pick = select("Whom", [["", "–"], ...peers.map((peer) => [peer.id, peer.words])]);
  const other = text("Or by id or name");
  const said = trouble();
  const go = el("button", { class: "main-button", type: "button" }, el("span", { class: "label" }, "Invite"));
  go.addEventListener("click", press(go, "Inviting…", async () => {
    const peer = other.value || pick.value;
    if (!peer) return write(said, "Nobody was named.");
    await ask("POST", `/rooms/${quoted(room.id)}/invite`, { peer });
    box.close();
    toast("Invited; they see it among their rooms");
    return undefined;
  }, (problem) => write(said, problem ? whole(problem) : "")));
  box.body.append(pick.node, other.node, said);
  box.foot.append(go);
  pick.input.focus();
}
