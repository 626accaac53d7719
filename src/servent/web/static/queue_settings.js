// The parts of the settings that are about the queue: <sv-polite>, <sv-hook>, <sv-peer-limits>, <sv-schedule>. They share
// one picture of it: the API takes the queue as a whole.

import { ask, get, press, whole } from "./ask.js";
import { called, check, text, trouble } from "./forms.js";
import { clean, el, peerName, write } from "./format.js";
import { icon } from "./icons.js";
import { Problem, live } from "./live.js";
import { RateField, said } from "./rates.js";

let asked = null; // the queue as the node told it, or the promise of it

async function queue(fresh = false) {
  if (!asked || fresh) asked = get("/queue").catch((problem) => {
    asked = null;
    throw problem;
  });
  return asked;
}

async function save(changes) {
  const now = await queue(true);
  asked = Promise.resolve(await ask("PUT", "/queue", { ...now, ...changes }));
  dispatchEvent(new CustomEvent("servent-queue"));
  return asked;
}

class QueuePart extends HTMLElement {
  async connectedCallback() {
    this.said = trouble();
    this.good = el("p", { class: "note good", role: "status" });
    this.replaceChildren(el("p", { class: "muted" }, "Asking the node…"));
    try {
      const now = await queue(true);
      if (this.isConnected) this.build(now);
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.replaceChildren(el("p", { class: "problem", role: "alert" }, whole(problem)));
    }
  }

  disconnectedCallback() {
    this.replaceChildren();
  }

  saver(word, changes, after = () => {}) {
    const button = el("button", { class: "main-button small-button", type: "button" }, el("span", { class: "label" }, word));
    button.addEventListener("click", press(button, "Saving…", async () => {
      write(this.good, "");
      after(await save(changes()));
      write(this.good, "Saved, and in force.");
    }, (problem) => write(this.said, problem ? whole(problem) : "")));
    return button;
  }
}

class Polite extends QueuePart {
  build(now) {
    const polite = check("Let everything else on the line go first", { value: now.polite, note: "Transfers in the background slow down as soon as packets begin to queue in the router: calls, games and pages stay quick. Transfers in the foreground do not wait." });
    const target = text("Delay they may add at most, in milliseconds", { type: "number", value: String(now.target_ms) });
    const most = text("Downloads that move at once", { type: "number", value: String(now.most_active), note: "the others wait for their turn" });
    this.replaceChildren(polite.node, el("div", { class: "form-pair" }, target.node, most.node), this.said,
      el("div", { class: "form-foot" }, this.saver("Save", () => ({ polite: polite.value, target_ms: Math.round(Number(target.value)) || now.target_ms, most_active: Math.round(Number(most.value)) || now.most_active })), this.good));
  }
}
customElements.define("sv-polite", Polite);

class Hook extends QueuePart {
  build(now) {
    const hook = text("Run this program", { value: now.on_complete, hint: "/home/you/bin/sort-downloads", note: "It runs as you, once for each download, and is told name, folder and size in its environment, see docs/settings.md. Empty: nothing runs." });
    this.replaceChildren(hook.node, this.said, el("div", { class: "form-foot" }, this.saver("Save", () => ({ on_complete: hook.value })), this.good));
  }
}
customElements.define("sv-hook", Hook);

class PeerLimits extends QueuePart {
  build(now) {
    const list = el("div", { class: "endings" });
    const draw = (limits) => {
      list.replaceChildren(...limits.map((limit) => {
        const remove = el("button", { class: "danger-button small-button", type: "button" }, el("span", { class: "label" }, "Remove"));
        remove.addEventListener("click", press(remove, "Removing…", async () => draw((await save({ peers: (await queue()).peers.filter((each) => each.peer !== limit.peer) })).peers), (problem) => write(this.said, problem ? whole(problem) : "")));
        return el("div", { class: "ending" }, el("div", { class: "what" }, el("span", { class: "name", dir: "auto" }, called(limit.peer)), el("span", { class: "why" }, `to them ${said(limit.up_bytes_per_s)}, from them ${said(limit.down_bytes_per_s)}`)), remove);
      }));
      if (!limits.length) list.replaceChildren(el("p", { class: "muted" }, "No peer has limits of its own."));
    };
    const who = el("select", { class: "plain", "aria-label": "Peer" });
    const fill = () => {
      const known = [...live.peers.values()].sort((a, b) => peerName(a).localeCompare(peerName(b)));
      if (who.options.length !== known.length) who.replaceChildren(...known.map((peer) => el("option", { value: peer.id }, peerName(peer))));
    };
    const up = new RateField("To them");
    const down = new RateField("From them");
    up.value = down.value = null;
    const add = this.saver("Set it", () => {
      if (!who.value) throw new Problem({ title: "Nobody is known yet", advice: "Invite somebody, or join with a ticket" }, 0);
      return { peers: [...this.now.filter((each) => each.peer !== who.value), { peer: who.value, up_bytes_per_s: up.value, down_bytes_per_s: down.value }] };
    }, (fresh) => {
      this.now = fresh.peers;
      draw(fresh.peers);
    });
    this.now = now.peers;
    const adding = el("div", { class: "limit-row" }, el("label", { class: "field" }, el("span", { class: "field-label" }, "Peer"), who), up.node, down.node, add);
    draw(now.peers);
    this.replaceChildren(list, adding, this.said, this.good);
    this._stop?.();
    this._stop = live.watch(["peers"], fill, 1000);
  }

  disconnectedCallback() {
    this._stop?.();
    super.disconnectedCallback();
  }
}
customElements.define("sv-peer-limits", PeerLimits);

const DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
const LONG_DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const minutes = (time) => Number(time.slice(0, 2)) * 60 + Number(time.slice(3));

// When a rule says something: [day, from, to] in minutes. `begin` after `end` goes over midnight.
function spans(rule) {
  const [from, to] = [minutes(rule.begin), minutes(rule.end)];
  return rule.days.flatMap((day) => (from < to ? [[day, from, to]] : [[day, from, 1440], ...(to ? [[(day + 1) % 7, 0, to]] : [])]));
}

function onDays(days) {
  const sorted = [...days].sort();
  const key = sorted.join("");
  if (key === "0123456") return "Every day";
  if (key === "01234") return "Monday to Friday";
  if (key === "56") return "At weekends";
  return sorted.map((day) => LONG_DAYS[day]).join(", ");
}

export function inWords(rule) {
  const what = rule.pause ? "nothing moves" : rule.up_bytes_per_s || rule.down_bytes_per_s
    ? [rule.down_bytes_per_s ? `receiving at most ${said(rule.down_bytes_per_s)}` : "", rule.up_bytes_per_s ? `sending at most ${said(rule.up_bytes_per_s)}` : ""].filter(Boolean).join(", ")
    : "no limit";
  return `${onDays(rule.days)}, ${rule.begin} to ${rule.end}: ${what}`;
}

class Schedule extends QueuePart {
  build(now) {
    this.rules = now.schedule.map((rule) => ({ ...rule }));
    this.sentence = el("p", { class: "muted" }, clean(now.now));
    this.week = el("div", { class: "week", role: "img" });
    this.list = el("div", { class: "rules" });
    const add = el("button", { class: "quiet-button small-button", type: "button", onclick: () => {
      this.rules.push({ days: [0, 1, 2, 3, 4], begin: "08:00", end: "18:00", up_bytes_per_s: 500_000, down_bytes_per_s: null, pause: false });
      this._draw();
      this.list.lastElementChild?.querySelector("input")?.focus();
    } }, icon("edit"), el("span", { class: "label" }, "Add a time"));
    this.save = this.saver("Save", () => ({ schedule: this.rules }), (fresh) => write(this.sentence, clean(fresh.now)));
    this.replaceChildren(this.sentence, this.week, this.list, this.said, el("div", { class: "form-foot" }, this.save, add, this.good));
    this._draw();
  }

  _draw() {
    this.list.replaceChildren(...this.rules.map((rule, index) => this._rule(rule, index)));
    if (!this.rules.length) this.list.replaceChildren(el("p", { class: "muted" }, "No times yet: the usual limits hold all week. Add one to be slower while you work, or to wait for the night."));
    this._picture();
  }

  _rule(rule, index) {
    const words = el("p", { class: "rule-words" }, inWords(rule));
    const changed = () => {
      write(words, inWords(rule));
      this._picture();
      write(this.good, "Not saved yet.");
    };
    const days = DAYS.map((word, day) => {
      const button = el("button", { class: "day", type: "button", "aria-pressed": rule.days.includes(day), "aria-label": LONG_DAYS[day] }, word);
      button.addEventListener("click", () => {
        const without = rule.days.filter((each) => each !== day);
        if (!without.length) return;
        rule.days = rule.days.includes(day) ? without : [...rule.days, day].sort();
        button.setAttribute("aria-pressed", rule.days.includes(day));
        changed();
      });
      return button;
    });
    const time = (field, word) => {
      const input = el("input", { class: "plain time", type: "time", value: rule[field], "aria-label": word, required: true });
      input.addEventListener("change", () => {
        if (input.value) rule[field] = input.value.slice(0, 5);
        changed();
      });
      return input;
    };
    const rates = { down_bytes_per_s: new RateField("Receiving"), up_bytes_per_s: new RateField("Sending") };
    for (const [field, each] of Object.entries(rates)) {
      each.value = rule[field];
      each.node.addEventListener("change", () => {
        rule[field] = each.value;
        changed();
      });
    }
    const pause = check("Nothing moves", { value: rule.pause });
    const show = () => Object.values(rates).forEach(({ node }) => (node.hidden = pause.value));
    pause.input.addEventListener("change", () => {
      rule.pause = pause.value;
      show();
      changed();
    });
    show();
    const remove = el("button", { class: "round", type: "button", title: "Remove this time", "aria-label": `Remove: ${inWords(rule)}`, onclick: () => {
      this.rules.splice(index, 1);
      this._draw();
      write(this.good, "Not saved yet.");
    } }, icon("remove"));
    return el("fieldset", { class: "rule" }, el("legend", { class: "hidden-legend" }, `Time ${index + 1}`), el("div", { class: "rule-head" }, words, remove),
      el("div", { class: "days", role: "group", "aria-label": "Days" }, ...days),
      el("div", { class: "rule-fields" }, el("div", { class: "field" }, el("span", { class: "field-label" }, "From, until"), el("span", { class: "times" }, time("begin", "From"), time("end", "Until"))), rates.down_bytes_per_s.node, rates.up_bytes_per_s.node, pause.node));
  }

  _picture() {
    const rows = DAYS.map((word, day) => {
      const bar = el("span", { class: "week-bar" });
      this.rules.forEach((rule) => spans(rule).filter(([its]) => its === day).forEach(([, from, to]) => {
        const block = el("span", { class: `week-block${rule.pause ? " paused" : ""}` });
        block.style.left = `${(from / 1440) * 100}%`;
        block.style.width = `${((to - from) / 1440) * 100}%`;
        bar.append(block);
      }));
      return el("div", { class: "week-day" }, el("span", { class: "note" }, word), bar);
    });
    this.week.replaceChildren(...rows, el("div", { class: "week-day week-hours note", "aria-hidden": "true" }, el("span", {}), el("span", {}, ...["0", "6", "12", "18", "24"].map((hour) => el("span", {}, hour)))));
    this.week.setAttribute("aria-label", this.rules.length ? this.rules.map(inWords).join("; ") : "No times are set");
  }
}
customElements.define("sv-schedule", Schedule);
