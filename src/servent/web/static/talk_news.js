// What a person hears of talk on every screen: the number in the title, notes at the lower edge, notifications of the
// browser where they asked for them; and what the node hears of them: that somebody is at the page.

import { go } from "./address.js";
import { ask } from "./ask.js";
import { clean } from "./format.js";
import { live } from "./live.js";
import { called, cleanLines } from "./talk_words.js";
import { toast } from "./toast.js";

const WANTED = "servent-notifications"; // in this browser
const TOUCH = 60_000; // ms
const TITLE = /^\(\d+\+?\) /;

export const addressOf = (conversation) => `/talk/${encodeURIComponent(conversation)}`;

// The conversation that somebody looks at, if any; `talk.js` says it.
export const looking = { at: "" };
export const attentive = () => document.visibilityState === "visible" && document.hasFocus();

const SAID = {
  message: (notice) => `${called(notice.person)}: ${notice.text}`,
  mention: (notice) => `${called(notice.person)} names you: ${notice.text}`,
  "friend-asks": (notice) => `${called(notice.person)} asks to be friends`,
  "friend-accepted": (notice) => `${called(notice.person)} is a friend now`,
  "friend-online": (notice) => `${called(notice.person)} is here`,
  invited: (notice) => `${called(notice.person)} invites you to ${notice.text || "a room"}`,
  moderated: (notice) => notice.text || "A moderator decided about you",
};

function place(notice) {
  if (notice.kind === "friend-asks" || notice.kind === "friend-accepted") return "/people";
  if (notice.conversation) return addressOf(notice.conversation);
  return notice.person && notice.kind === "friend-online" ? addressOf(`peer:${notice.person.id}`) : "/talk";
}

export const notifications = {
  get possible() { return "Notification" in globalThis; },
  get on() { return this.possible && Notification.permission === "granted" && localStorage.getItem(WANTED) === "1"; },
  async switch(on) {
    if (on && Notification.permission !== "granted") await Notification.requestPermission();
    localStorage.setItem(WANTED, on && Notification.permission === "granted" ? "1" : "0");
    return this.on;
  },
};

live.hear((topic, notice) => {
  if (topic !== "notices" || !SAID[notice.kind]) return;
  const text = cleanLines(SAID[notice.kind](notice)).replace(/\s+/g, " ").slice(0, 240);
  const target = place(notice);
  if (notifications.on && !attentive()) {
    const shown = new Notification("servent", { body: clean(text), tag: notice.conversation || `${notice.kind}-${notice.person?.id ?? ""}` });
    shown.onclick = () => {
      focus();
      go(target);
      shown.close();
    };
  }
  if (notice.conversation && notice.conversation === looking.at && attentive()) return; // it is in sight
  toast(text, { sign: notice.kind.startsWith("friend") ? "peers" : "talk", open: { word: notice.kind === "friend-asks" ? "See" : "Open", press: () => go(target) } });
});

function title() {
  const unread = (live.talk?.unread ?? 0) + (live.talk?.asking ?? 0);
  const plain = document.title.replace(TITLE, "");
  const wanted = unread ? `(${unread > 99 ? "99+" : unread}) ${plain}` : plain;
  if (document.title !== wanted) document.title = wanted;
}
live.watch(["talk"], title, 300);

// Somebody is here: at most once a minute, and only while they do something.
let touched = 0;
function touch() {
  const now = Date.now();
  if (now - touched < TOUCH || !live.presence || live.connection !== "live") return;
  touched = now;
  ask("POST", "/presence/touch").then((mine) => {
    if (!mine) return;
    live.presence = mine;
    live.changed("presence");
  }, () => {});
}
for (const kind of ["pointerdown", "keydown", "wheel", "touchstart"]) addEventListener(kind, touch, { passive: true, capture: true });
