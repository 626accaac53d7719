// <sv-presence>: what friends see of the person at this page, and how to change it. Small in the frame, whole in People.

import { patch, press, whole } from "./ask.js";
import { dialog } from "./dialog.js";
import { select, text, trouble } from "./forms.js";
import { clean, el, write } from "./format.js";
import { icon } from "./icons.js";
import { live } from "./live.js";
import { notifications } from "./talk_news.js";
import { PRESENCE, TONES } from "./talk_words.js";
import { complain, toast } from "./toast.js";

const CHOICES = [["available", "Available", "away by itself when nobody is at the page"], ["away", "Away", "friends see that you are not at it"], ["offline", "Invisible", "you see others, and nobody sees you"]];
const IDLE = [["300", "5 minutes"], ["600", "10 minutes"], ["1800", "half an hour"], ["3600", "an hour"], ["0", "never"]];

const word = (mine) => (mine.presence === "offline" ? "Invisible" : PRESENCE[mine.shown] ?? "");

async function change(what) {
  live.presence = await patch("/presence", what);
  live.changed("presence");
}

export function choosePresence() {
  const mine = live.presence;
  if (!mine) return;
  const box = dialog("What friends see of you");
  const said = trouble();
  let chosen = mine.presence === "match" ? "available" : mine.presence;
  const options = CHOICES.map(([key, name, about]) => {
    const input = el("input", { type: "radio", name: "sv-presence", value: key, onchange: () => { chosen = key; } });
    input.checked = key === chosen;
    return el("label", { class: "presence-choice" }, input, el("span", { class: "dot", "data-tone": TONES[key] }), el("span", {}, el("strong", {}, name), el("span", { class: "note" }, about)));
  });
  const note = text("A few words", { value: mine.note, hint: "back at six" });
  note.input.maxLength = 100;
  const known = IDLE.some(([key]) => Number(key) === mine.idle_away) ? IDLE : [[String(mine.idle_away), `${Math.round(mine.idle_away / 60)} minutes`], ...IDLE];
  const idle = select("Away by itself after", known, { value: mine.idle_away });
  const save = el("button", { class: "main-button", type: "submit" }, el("span", { class: "label" }, "Save"));
  const form = el("form", { class: "dialog-part" }, el("fieldset", { class: "plain-set presence-choices" }, el("legend", { class: "field-label" }, "You are"), ...options), note.node, idle.node, said, el("div", { class: "dialog-foot" }, save));
  const keep = press(save, "Saving…", async () => {
    await change({ presence: chosen, note: note.value, idle_away: Number(idle.value) });
    box.close();
  }, (problem) => write(said, problem ? whole(problem) : ""));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    keep();
  });
  if (notifications.possible) {
    const bell = el("button", { class: "text-button", type: "button" });
    const tell = () => write(bell, notifications.on ? "No notifications of this browser any more" : "Let this browser notify me of messages");
    bell.addEventListener("click", async () => {
      const on = await notifications.switch(!notifications.on);
      tell();
      if (!on && Notification.permission === "denied") complain({ message: "This browser does not allow it", advice: "Its own settings for this page can" });
      else toast(on ? "This browser notifies you when you look elsewhere" : "No more notifications here");
    });
    tell();
    form.insertBefore(bell, said);
  }
  box.body.append(form);
  form.querySelector("input:checked")?.focus();
}

class Presence extends HTMLElement {
  connectedCallback() {
    this.dot = el("span", { class: "dot" });
    this.word = el("span", { class: "presence-word" });
    this.note = el("span", { class: "presence-note", dir: "auto" });
    this.button = el("button", { class: "presence-button", type: "button", onclick: choosePresence }, this.dot, el("span", { class: "presence-text" }, this.word, this.note), icon("edit"));
    this.replaceChildren(this.button);
    this._stop = live.watch(["presence"], () => this.paint(), 100);
  }
  disconnectedCallback() {
    this._stop?.();
    this.replaceChildren();
  }
  paint() {
    const mine = live.presence;
    this.hidden = !mine;
    if (!mine) return;
    this.dot.dataset.tone = mine.presence === "offline" ? "none" : TONES[mine.shown] ?? "none";
    write(this.word, word(mine));
    write(this.note, clean(mine.doing || mine.note));
    this.button.setAttribute("aria-label", `What friends see of you: ${word(mine)}${mine.note ? `, ${clean(mine.note)}` : ""}. Change it`);
    this.button.title = "What friends see of you";
  }
}
customElements.define("sv-presence", Presence);
