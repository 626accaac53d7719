// What people and messages look like, the same on every screen of talk. All of it is text: nothing here reads markup.

import { clean, el } from "./format.js";
import { icon } from "./icons.js";

const DAY = 86400;
export const PRESENCE = { available: "Available", away: "Away", match: "In a match", offline: "Offline" };
export const TONES = { available: "direct", away: "relayed", match: "waiting", offline: "none" };
export const STANDINGS = { owner: "Owner", moderator: "Moderators", member: "Members", invited: "Invited", banned: "Banned" };

// As `clean`, for texts of several lines: line breaks and tabs stay what they are.
export const cleanLines = (text) => String(text ?? "").replace(/\r\n?/g, "\n").split("\n").map((line) => line.split("\t").map(clean).join("    ")).join("\n");

// How somebody is called in a sentence: the petname, or their name with the mark that nobody can choose.
export const called = (person) => (!person ? "Somebody" : person.me ? "You" : person.chosen ? clean(person.shown) : `${clean(person.shown)} (${clean(person.mark)})`);

export function name(person) {
  const node = el("span", { class: "person" }, el("span", { class: "person-name", dir: "auto" }, clean(person?.shown ?? "Somebody")));
  if (person && !person.chosen && !person.me) node.append(el("span", { class: "person-mark", title: "Four letters of their id, which nobody can choose" }, clean(person.mark)));
  if (person?.warning) node.append(el("span", { class: "person-warning", role: "img", title: clean(person.warning), "aria-label": clean(person.warning) }, icon("warn")));
  return node;
}

function number(id) {
  let sum = 0;
  for (const letter of String(id).slice(0, 16)) sum = (sum * 31 + letter.codePointAt(0)) % 9973;
  return sum;
}

// The first letter on a colour of the id's: the same person looks the same everywhere.
export function avatar(person, sign = "") {
  const letter = [...clean(person?.shown ?? "")].find((one) => /[\p{L}\p{N}]/u.test(one)) ?? "?";
  return el("span", { class: "avatar", "data-hue": number(person?.id ?? sign) % 6, "aria-hidden": "true" }, ...(sign ? [icon(sign)] : [letter.toUpperCase()]));
}

export function dot(presence) {
  return el("span", { class: "dot presence-dot", "data-tone": TONES[presence] ?? "none", "data-presence": presence, title: PRESENCE[presence] ?? "", role: "img", "aria-label": PRESENCE[presence] ?? "Offline" });
}

const midnight = (time) => new Date(time * 1000).setHours(0, 0, 0, 0) / 1000;

export function dayOf(time) {
  const ago = Math.round((midnight(Date.now() / 1000) - midnight(time)) / DAY);
  if (ago === 0) return "Today";
  if (ago === 1) return "Yesterday";
  return new Date(time * 1000).toLocaleDateString([], { weekday: "long", day: "numeric", month: "long", ...(ago > 300 ? { year: "numeric" } : {}) });
}

export const clock = (time) => new Date(time * 1000).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
export const exactly = (time) => new Date(time * 1000).toLocaleString([], { dateStyle: "full", timeStyle: "medium" });

// As short as a list needs it.
export function briefly(time) {
  const ago = Date.now() / 1000 - time;
  if (midnight(time) === midnight(Date.now() / 1000)) return clock(time);
  if (ago < 6 * DAY) return new Date(time * 1000).toLocaleDateString([], { weekday: "short" });
  return new Date(time * 1000).toLocaleDateString([], { day: "numeric", month: "short" });
}

const LINK = /(https?:\/\/|magnet:\?|servent(?:-project)?:)[^\s<>"'`\ufffd]+/gi;
const TRAILING = /[.,;:!?)\]}]+$/;

// A text with its plain links: http and https open elsewhere, magnet and servent links ask first. Nothing else becomes one.
export function linked(text, opened) {
  const said = cleanLines(text);
  const pieces = [];
  let at = 0;
  for (const found of said.matchAll(LINK)) {
    const tail = TRAILING.exec(found[0])?.[0] ?? "";
    const open = (found[0].match(/\(/g) ?? []).length;
    const kept = tail.startsWith(")") && open ? found[0].slice(0, found[0].length - tail.length + 1) : found[0].slice(0, found[0].length - tail.length);
    const before = said[found.index - 1];
    if ((before && /[\p{L}\p{N}]/u.test(before)) || kept.length <= found[1].length) continue;
    const node = link(kept, opened);
    if (!node) continue;
    pieces.push(said.slice(at, found.index), node);
    at = found.index + kept.length;
  }
  pieces.push(said.slice(at));
  return pieces.filter((piece) => piece !== "");
}

function link(text, opened) {
  if (!/^https?:/i.test(text)) return el("button", { class: "text-link", type: "button", onclick: () => opened(text) }, text);
  try {
    const target = new URL(text);
    if (!["http:", "https:"].includes(target.protocol) || target.username || target.password) return null; // "https://bank.example@evil"
    return el("a", { class: "text-link", href: target.href, target: "_blank", rel: "noopener noreferrer nofollow", title: target.host }, text);
  } catch {
    return null;
  }
}

const DID = {
  joined: "joined", left: "left", invited: "invited", kicked: "put out", banned: "banned", unbanned: "lifted the ban of", muted: "muted",
  unmuted: "let speak again", moderator: "made a moderator:", member: "made a member:", owner: "handed the room to", changed: "changed the room", closed: "closed the room",
};

// "ann muted mallory: shouting"
export function did(message) {
  const whom = clean(message.text);
  return `${called(message.author)} ${DID[message.event] ?? clean(message.event)}${whom ? (["changed", "closed"].includes(message.event) ? `: ${whom}` : ` ${whom}`) : ""}`;
}

// One line of a message, for lists and quotations.
export function gist(message) {
  if (!message) return "";
  if (message.removed) return "taken back";
  if (message.event) return did(message);
  return clean(cleanLines(message.text).replace(/\s+/g, " ")).slice(0, 160) || (message.attachments?.length ? `Attached: ${clean(message.attachments[0].name || "a link")}` : "");
}

// Children in their order, with as few moves as can be: what stays keeps its selection and its focus.
export function settle(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
  let at = parent.firstChild;
  for (const node of nodes) {
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
}
