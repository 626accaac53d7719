// <sv-shares>: what this node offers. A row opens its link, to copy or to show as QR code; there it can be ended.

import { attribute, bytes, clean, el, write } from "./format.js";
import { icon } from "./icons.js";
import { live } from "./live.js";
import { Rows } from "./rows.js";

function about(share) {
  if (share.state === "hashing") return `Reading it… ${Math.floor((share.progress ?? 0) * 100)} %`;
  if (share.state === "failed") return clean(share.reason || "It could not be read.");
  return clean(share.reason || share.path);
}

class Shares extends HTMLElement {
  connectedCallback() {
    this.rows = new Rows({ label: "What this node offers", make: () => this._row(), fill: (row, share) => this._fill(row, share), open: (share) => this._open(share) });
    this.count = el("span", { class: "muted" });
    this.card = el("section", { class: "card list", hidden: true },
      el("div", { class: "list-title" }, el("h2", {}, "Offered by you"), this.count), this.rows.node);
    this.replaceChildren(this.card);
    this.rows.attach();
    this._stop = live.watch(["shares"], () => this.paint());
  }

  disconnectedCallback() {
    this._stop?.();
    this.rows?.detach();
    this.replaceChildren();
  }

  _row() {
    const row = el("div", { class: "share" });
    const parts = {
      name: el("span", { class: "name", dir: "auto" }), why: el("span", { class: "why", dir: "auto" }), files: el("span", { class: "small" }),
      size: el("span", { class: "speed" }), sent: el("span", { class: "left" }), button: el("button", { class: "round", type: "button", title: "Link" }, icon("invite")),
    };
    parts.button.addEventListener("click", () => this._open(row.item));
    row.append(el("span", { class: "way" }, icon("send")), el("span", { class: "what" }, parts.name, parts.why),
      el("span", { class: "two" }, parts.size, parts.files), parts.sent, parts.button);
    row.parts = parts;
    return row;
  }

  _fill(row, share) {
    const { parts } = row;
    row.item = share;
    if (row.dataset.state !== share.state) row.dataset.state = share.state;
    write(parts.name, clean(share.name));
    write(parts.why, about(share));
    write(parts.size, share.size_bytes || share.state === "ready" ? bytes(share.size_bytes) : "");
    write(parts.files, share.files ? `${share.files.toLocaleString("en")} ${share.files === 1 ? "file" : "files"}` : "");
    write(parts.sent, share.uploaded_bytes ? `${bytes(share.uploaded_bytes)} sent` : "");
    attribute(parts.button, "aria-label", `Link of ${clean(share.name)}, and how to stop offering it`);
    parts.button.tabIndex = row.tabIndex;
  }

  _open(share) {
    this.dispatchEvent(new CustomEvent("open", { detail: { id: share.id } }));
  }

  paint() {
    const shares = [...live.shares.values()].sort((a, b) => clean(a.name).localeCompare(clean(b.name)) || (a.id < b.id ? -1 : 1));
    if (this.card.hidden === shares.length > 0) this.card.hidden = !shares.length;
    write(this.count, String(shares.length));
    this.rows.node.style.setProperty("--count", shares.length);
    this.rows.show(shares);
  }
}
customElements.define("sv-shares", Shares);
