// BitTorrent on the page. <sv-torrents>: how the door stands and what goes through it. <sv-seed data-share="…">: seeds one
// share, and gives its .torrent. <sv-torrent-file>: a .torrent of this computer becomes a download.

import { go } from "./address.js";
import { get, part as quoted, post, press, whole } from "./ask.js";
import { confirmed, dialog } from "./dialog.js";
import { ago, trouble } from "./forms.js";
import { bytes, clean, el, rate, upper, write } from "./format.js";
import { icon } from "./icons.js";
import { live, Problem } from "./live.js";
import { settle } from "./talk_words.js";
import { toast } from "./toast.js";
import { plural as many } from "./transfer_words.js";

const LARGEST = 16 * 1024 * 1024; // bytes of a .torrent
const LONG = 3600_000; // ms; a hybrid torrent reads every file
const EVERY = 5000; // ms between two looks at the door
const WORDS = { metadata: "Reading the list of files", downloading: "Fetching", seeding: "Seeding", paused: "Paused", failed: "Failed" };
const TONES = { seeding: "direct", downloading: "direct", failed: "failed", metadata: "waiting", paused: "none" };

// The .torrent, saved by the browser.
async function save(which) {
  const file = await get(`/torrents/${quoted(which)}/file`);
  const data = Uint8Array.from(atob(file.data), (letter) => letter.codePointAt(0));
  const source = URL.createObjectURL(new Blob([data], { type: "application/x-bittorrent" }));
  const link = el("a", { href: source, download: clean(file.name).replace(/[\\/]/g, "_") });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(source), 10_000);
}

// What is not for everybody is seeded only when that was said.
async function seed(what) {
  try {
    return await post("/torrents/seed", { what }, { wait: LONG });
  } catch (problem) {
    if (!(problem instanceof Problem) || problem.status !== 409) throw problem;
    if (!(await confirmed("Seed it to everybody?", [problem.message.replace(/\.?$/, "."), "Whoever has its link can fetch it from BitTorrent, known to you or not."], "Seed it anyway"))) return null;
    return post("/torrents/seed", { what, confirm: true }, { wait: LONG });
  }
}

class Torrents extends HTMLElement {
  connectedCallback() {
    this.rows = new Map();
    this.facts = el("dl", { class: "torrent-facts" });
    this.state = el("p", { class: "torrent-state" });
    this.said = trouble();
    this.list = el("ul", { class: "torrent-list", "aria-label": "Torrents" });
    this.none = el("p", { class: "muted", hidden: true }, "Nothing comes from BitTorrent, and nothing is seeded to it. A share is seeded from its window in Transfers.");
    this.replaceChildren(el("section", { class: "card" }, el("h2", {}, "The door to BitTorrent"), this.state, this.facts, this.said), el("section", { class: "card" }, el("h2", {}, "Torrents"), this.list, this.none));
    this._stop = live.watch(["torrents"], () => this.paint(), 700);
    this._load();
    this._timer = setInterval(() => !document.hidden && this._load(), EVERY);
  }

  disconnectedCallback() {
    this._stop?.();
    clearInterval(this._timer);
    this.replaceChildren();
  }

  async _load() {
    try {
      this._show(await get("/torrents/status"));
      write(this.said, "");
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      write(this.said, whole(problem));
    }
  }

  _show(status) {
    write(this.state, status.why ? upper(clean(status.why)) : !status.installed ? "The part for BitTorrent is not installed." : status.door ? "Open: torrents are fetched and seeded." : "Closed: nothing goes to BitTorrent, and nothing comes from it.");
    const facts = [
      ["DHT", status.dht ? `${many(status.dht_nodes, "node")} known` : "off"],
      ["Found by others", status.published ? `told to ${many(status.stored_on, "node")}, ${ago(status.published)}` : ""],
      ["Port", status.door ? (status.port ? String(status.port) : "none: only outwards") : ""],
      ["Proxy", status.proxy === "none" ? "none" : status.proxy === "i2p" ? "I2P" : status.proxy.toUpperCase()],
      ["Peers", status.door ? String(status.peers) : ""],
      ["Now", status.door ? `↓ ${rate(status.down_bytes_per_s)}  ↑ ${rate(status.up_bytes_per_s)}` : ""],
      ["In all", status.received_bytes + status.sent_bytes ? `${bytes(status.received_bytes)} fetched, ${bytes(status.sent_bytes)} given` : ""],
    ];
    this.facts.replaceChildren(...facts.filter(([, value]) => value).flatMap(([word, value]) => [el("dt", {}, word), el("dd", {}, clean(value))]));
  }

  paint() {
    const all = [...live.torrents.values()].sort((a, b) => clean(a.name).localeCompare(clean(b.name)) || (a.id < b.id ? -1 : 1));
    for (const id of [...this.rows.keys()]) if (!live.torrents.has(id)) this.rows.delete(id);
    settle(this.list, all.map((one) => this._row(one)));
    this.none.hidden = all.length > 0;
  }

  _row(one) {
    let row = this.rows.get(one.id);
    if (!row) {
      row = { name: el("span", { class: "name", dir: "auto" }), mark: el("span", { class: "mark" }), why: el("span", { class: "why", dir: "auto" }), dot: el("span", { class: "dot" }) };
      row.node = el("li", {}, row.dot, el("span", { class: "what" }, el("span", { class: "who" }, row.name, row.mark), row.why), el("button", { class: "round", type: "button", title: "Details" , "aria-label": `Details of ${clean(one.name)}`, onclick: () => this._open(one.id) }, icon("more")));
      this.rows.set(one.id, row);
    }
    row.dot.dataset.tone = TONES[one.state] ?? "none";
    write(row.name, clean(one.name || one.id.slice(0, 12)));
    write(row.mark, one.version);
    const flow = one.down_bytes_per_s + one.up_bytes_per_s;
    write(row.why, one.reason ? upper(clean(one.reason)) : [WORDS[one.state] ?? clean(one.state), one.state === "downloading" ? `${bytes(one.done_bytes)} of ${bytes(one.size_bytes)}` : bytes(one.size_bytes), many(one.peers, "peer"), flow ? `↓ ${rate(one.down_bytes_per_s)} ↑ ${rate(one.up_bytes_per_s)}` : "", one.sent_bytes ? `${bytes(one.sent_bytes)} given` : ""].filter(Boolean).join(" · "));
    return row.node;
  }

  async _open(id) {
    const one = live.torrents.get(id);
    if (!one) return;
    const box = dialog(one.name || "A torrent");
    const said = trouble();
    const fail = (problem) => write(said, problem ? whole(problem) : "");
    const file = el("button", { class: "quiet-button small-button", type: "button" }, icon("get"), el("span", { class: "label" }, "Save the .torrent"));
    file.addEventListener("click", press(file, "Making it…", () => save(id), fail));
    const end = el("button", { class: "danger-button small-button", type: "button", hidden: !one.share }, el("span", { class: "label" }, "Seed it no more"));
    end.addEventListener("click", press(end, "Ending it…", async () => {
      await post("/torrents/seed", { what: id, seed: false });
      live.remove("torrents", id);
      box.close();
    }, fail));
    const peers = el("ul", { class: "torrent-peers" });
    box.body.append(...(one.magnet ? [el("p", { class: "code", id: `magnet-${id}` }, clean(one.magnet)), el("sv-copy", { "data-from": `magnet-${id}` })] : []), ...(one.trackers.length ? [el("p", { class: "note" }, `Trackers: ${one.trackers.map(clean).join(", ")}`)] : []), said, el("h3", {}, "Peers"), peers, el("div", { class: "drawer-buttons" }, file, end));
    try {
      const known = await get(`/torrents/${quoted(id)}/peers`);
      peers.replaceChildren(...known.slice(0, 100).map((peer) => el("li", {}, el("span", { class: "what" }, el("span", { class: "name", dir: "auto" }, clean(peer.client || "unknown")), el("span", { class: "why" }, clean(peer.address))), el("span", { class: "small" }, `${Math.floor(peer.progress * 100)} %, ${peer.transport}`))));
      if (!known.length) peers.replaceChildren(el("li", { class: "muted" }, "None right now."));
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      fail(problem);
    }
  }
}
customElements.define("sv-torrents", Torrents);

class Seed extends HTMLElement {
  connectedCallback() {
    const share = this.dataset.share;
    this.box = el("input", { type: "checkbox", role: "switch" });
    this.about = el("span", { class: "note" });
    this.said = trouble();
    this.file = el("button", { class: "quiet-button small-button", type: "button" }, icon("get"), el("span", { class: "label" }, "Save the .torrent"));
    this.file.addEventListener("click", press(this.file, "Making it…", () => save(this._seeded()?.id ?? share), (problem) => write(this.said, problem ? whole(problem) : "")));
    this.box.addEventListener("change", async () => {
      this.box.disabled = true;
      write(this.said, "");
      try {
        if (this.box.checked) {
          const made = await seed(share);
          if (made) live.merge("torrents", made);
        } else {
          const one = this._seeded();
          await post("/torrents/seed", { what: one?.id ?? share, seed: false });
          if (one) live.remove("torrents", one.id);
        }
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        write(this.said, whole(problem));
      } finally {
        this.box.disabled = false;
        this.paint();
      }
    });
    this.replaceChildren(el("label", { class: "check-line" }, this.box, el("span", {}, "Seed to BitTorrent", this.about)), this.said, this.file);
    this._stop = live.watch(["torrents"], () => this.paint(), 500);
  }

  disconnectedCallback() {
    this._stop?.();
    this.replaceChildren();
  }

  _seeded() {
    return [...live.torrents.values()].find((one) => one.share === this.dataset.share);
  }

  paint() {
    const one = this._seeded();
    if (!this.box.disabled) this.box.checked = Boolean(one);
    write(this.about, one ? (one.reason ? upper(clean(one.reason)) : `${WORDS[one.state] ?? ""}, ${many(one.peers, "peer")}`) : "Whoever has its link can fetch it with other programs, too.");
  }
}
customElements.define("sv-seed", Seed);

function base64(data) {
  let letters = "";
  for (let at = 0; at < data.length; at += 0x8000) letters += String.fromCharCode(...data.subarray(at, at + 0x8000));
  return btoa(letters);
}

class TorrentFile extends HTMLElement {
  connectedCallback() {
    this.said = trouble();
    this.input = el("input", { type: "file", accept: ".torrent,application/x-bittorrent", class: "unseen", tabindex: "-1", "aria-label": "A .torrent file" });
    this.input.addEventListener("change", () => this.input.files[0] && this._send(this.input.files[0]));
    this.button = el("button", { class: "quiet-button small-button", type: "button", onclick: () => this.input.click() }, icon("file"), el("span", { class: "label" }, "Or choose a .torrent file"));
    this.replaceChildren(this.button, this.input, this.said);
  }

  disconnectedCallback() {
    this.replaceChildren();
  }

  async _send(file) {
    write(this.said, file.size > LARGEST ? "No .torrent is larger than 16 MiB." : "");
    this.input.value = "";
    if (file.size > LARGEST) return;
    this.button.disabled = true;
    try {
      const data = base64(new Uint8Array(await file.arrayBuffer()));
      const transfer = await post("/torrents", { data }, { wait: 120_000 });
      live.merge("transfers", transfer);
      toast(`Getting ${clean(transfer.name || file.name)}`, { sign: "get", open: { word: "Transfers", press: () => go("/transfers") } });
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      write(this.said, whole(problem));
    } finally {
      this.button.disabled = false;
    }
  }
}
customElements.define("sv-torrent-file", TorrentFile);
