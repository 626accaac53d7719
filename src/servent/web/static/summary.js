// The small live pieces: rates beside the navigation, totals and reachability of the overview, and the banner
// that says when the node is away.

import { bytes, clean, duration, el, prose, rate, write } from "./format.js";
import { icon } from "./icons.js";
import { live } from "./live.js";

const SLOW = 1000; // ms between two changes of a number in the frame of the page

class Watching extends HTMLElement {
  connectedCallback() {
    this.build();
    this._stop = live.watch(this.constructor.topics, () => this.paint(), this.constructor.every);
  }
  disconnectedCallback() {
    this._stop?.();
    this.replaceChildren();
  }
}

class Rates extends Watching {
  static topics = ["status"];
  static every = SLOW;
  build() {
    this.down = el("span", { class: "rate-value" });
    this.up = el("span", { class: "rate-value" });
    this.replaceChildren(
      el("span", { class: "rate-line", title: "Receiving" }, icon("down"), this.down),
      el("span", { class: "rate-line", title: "Sending" }, icon("up"), this.up));
    this.setAttribute("role", "group");
    this.setAttribute("aria-label", "Rates");
  }
  paint() {
    const away = live.connection !== "live";
    write(this.down, away ? "–" : rate(live.status?.down_bytes_per_s));
    write(this.up, away ? "–" : rate(live.status?.up_bytes_per_s));
  }
}
customElements.define("sv-rates", Rates);

class Me extends Watching {
  static topics = ["status"];
  static every = SLOW;
  build() {
    this.dot = el("span", { class: "dot" });
    this.name = el("span", { class: "me-name", dir: "auto" });
    this.short = el("span", { class: "id" });
    this.replaceChildren(this.dot, el("span", { class: "me-text" }, this.name, this.short));
  }
  paint() {
    const { status, connection } = live;
    this.dot.dataset.tone = connection === "live" ? "direct" : connection === "away" ? "failed" : "waiting";
    this.dot.title = connection === "live" ? "The node is running" : connection === "away" ? "The node is away" : "Connecting";
    write(this.name, status ? clean(status.name || "This node") : "…");
    write(this.short, status ? clean(status.short_id) : "");
  }
}
customElements.define("sv-me", Me);

class Totals extends Watching {
  static topics = ["status"];
  static every = SLOW;
  build() {
    const figure = (word) => {
      const value = el("span", { class: "figure" });
      const note = el("span", { class: "note" });
      return { value, note, node: el("div", { class: "total" }, el("span", { class: "total-word" }, word), value, note) };
    };
    this.figures = ["Peers", "Receiving", "Sending", "Moving now"].map(figure);
    this.replaceChildren(...this.figures.map(({ node }) => node));
  }
  paint() {
    const status = live.status;
    const texts = status
      ? [
          [String(status.peers.total), status.peers.total ? `${status.peers.direct} direct, ${status.peers.relayed} relayed` : "none connected"],
          [status.down_bytes_per_s > 0 ? rate(status.down_bytes_per_s) : "0 B/s", status.down_bytes_per_s > 0 ? "from peers" : "nothing coming in"],
          [status.up_bytes_per_s > 0 ? rate(status.up_bytes_per_s) : "0 B/s", status.up_bytes_per_s > 0 ? "to peers" : "nothing going out"],
          [String(status.transfers.active), `${status.transfers.waiting} waiting, ${status.transfers.done} done`],
        ]
      : this.figures.map(() => ["…", ""]);
    this.figures.forEach(({ value, note }, index) => {
      write(value, texts[index][0]);
      write(note, texts[index][1]);
    });
  }
}
customElements.define("sv-totals", Totals);

const NAT = {
  public: ["check", "direct"],
  easy: ["check", "direct"],
  symmetric: ["warn", "relayed"],
  "udp-blocked": ["fail", "failed"],
  unknown: ["skip", "waiting"],
};

class Reach extends Watching {
  static topics = ["status"];
  static every = SLOW;
  build() {
    this.sign = icon("skip");
    this.summary = el("p", { class: "reach-summary", dir: "auto" });
    this.because = el("p", { class: "muted", dir: "auto" });
    this.remedies = el("ul", { class: "remedies" });
    this.facts = el("p", { class: "reach-facts muted" });
    this.replaceChildren(el("div", { class: "reach-head" }, this.sign, this.summary), this.because, this.remedies, this.facts);
  }
  paint() {
    const status = live.status;
    const reach = status?.reach;
    const [sign, tone] = NAT[reach?.nat] ?? NAT.unknown;
    if (this.sign.getAttribute("name") !== sign) this.sign.setAttribute("name", sign);
    this.dataset.tone = tone;
    const because = reach?.relayed_because ?? "";
    prose(this.summary, reach ? reach.summary : "Finding out how others reach you…");
    prose(this.because, because);
    this.because.hidden = !because || reach.summary.includes(because);
    const remedies = reach?.remedies ?? [];
    while (this.remedies.children.length > remedies.length) this.remedies.lastChild.remove();
    remedies.forEach((remedy, index) => {
      if (!this.remedies.children[index]) this.remedies.append(el("li", { dir: "auto" }));
      prose(this.remedies.children[index], remedy);
    });
    this.remedies.hidden = !remedies.length;
    const families = [reach?.ipv4 && "IPv4", reach?.ipv6 && "IPv6"].filter(Boolean).join(" and ");
    write(this.facts, status ? [families, `up for ${duration(status.uptime)}`, status.memory_bytes ? `${bytes(status.memory_bytes)} of memory` : ""].filter(Boolean).join(" · ") : "");
  }
}
customElements.define("sv-reach", Reach);

class Banner extends Watching {
  static topics = [];
  static every = 0;
  build() {
    this.setAttribute("role", "status");
    this.replaceChildren(el("div", { class: "banner" }, icon("away"), el("span", {}, "The node is away. What you see may be old; this page reconnects by itself.")));
  }
  paint() {
    this.classList.toggle("shown", live.connection === "away");
    document.documentElement.dataset.connection = live.connection;
  }
}
customElements.define("sv-banner", Banner);

const CHOICES = ["auto", "light", "dark"];
const WORDS = { auto: "as the system", light: "light", dark: "dark" };

class Theme extends HTMLElement {
  connectedCallback() {
    const button = el("button", { class: "round", type: "button" }, icon("theme"));
    const say = () => {
      button.title = `Colours: ${WORDS[serventTheme.choice]}`;
      button.setAttribute("aria-label", `Colours: ${WORDS[serventTheme.choice]}. Change`);
    };
    button.addEventListener("click", () => {
      serventTheme.choice = CHOICES[(CHOICES.indexOf(serventTheme.choice) + 1) % CHOICES.length];
      say();
    });
    say();
    this.replaceChildren(button);
  }
}
customElements.define("sv-theme", Theme);

// <sv-copy> copies the text of the element that data-from names.
class Copy extends HTMLElement {
  connectedCallback() {
    const word = el("span", {}, "Copy");
    const button = el("button", { class: "quiet-button", type: "button" }, icon("copy"), word);
    button.addEventListener("click", async () => {
      const from = document.getElementById(this.dataset.from);
      try {
        await navigator.clipboard.writeText(from.textContent);
        write(word, "Copied");
      } catch {
        getSelection().selectAllChildren(from); // no clipboard here: select it, so that Ctrl-C works
        write(word, "Selected: press Ctrl+C");
      }
      setTimeout(() => write(word, "Copy"), 2500);
    });
    this.replaceChildren(button);
  }
}
customElements.define("sv-copy", Copy);
