// What the page knows about the node, kept fresh by its events. One store per page; components watch it.
//
// The socket speaks the API's events: full tables first, then rows that changed. `away` says that the node does
// not answer; full tables follow when it is back. A hidden page closes its socket: then nobody sends anything.

import { upper } from "./format.js";

const LISTS = [
  "peers", "transfers", "shares", "folders", "wishes", "feeds", "codes", "networks", "friends", "conversations", "rooms", "torrents",
  "joined", "projects", "batches", "clusters",
];
const SAID_ONCE = ["messages", "notices"]; // not kept here; who shows them asks the node for what was before
const RETRY = [500, 1000, 2000, 4000];

// A problem the node told us about: a title for the eye, advice for the hand.
export class Problem extends Error {
  constructor(problem, status) {
    super(upper(problem?.detail || problem?.title || `The node answered ${status}`)); // the fact, rather than its kind
    this.kind = (problem?.type ?? "").split(":").pop();
    this.advice = problem?.advice || "";
    this.status = status;
  }
}

class Live {
  constructor() {
    this.connection = "connecting"; // connecting | live | away
    this.status = null;
    this.shape = null; // marks of networks, and the roles of this node
    this.presence = null; // what friends see of this node's person
    this.lending = null; // what this machine lends to projects, and why it computes nothing where it does not
    this.talk = null; // how much is unread, and who asks
    this.known = new Set(); // lists that the node has told in full
    for (const list of LISTS) this[list] = new Map();
    this.updates = 0; // events applied, for measurements
    this._watchers = new Set();
    this._ears = new Set();
    this._socket = null;
    this._failures = 0;
    this._timer = 0;
    document.addEventListener("visibilitychange", () => this._visibility());
    this._visibility();
  }

  // Calls `paint` in an animation frame after one of `topics` changed, at most once in `every` ms; returns how to stop.
  watch(topics, paint, every = 0) {
    const watcher = { topics: new Set([...topics, "connection"]), paint, every, last: -Infinity, frame: 0, timer: 0 };
    this._watchers.add(watcher);
    this._wake(watcher);
    return () => {
      this._watchers.delete(watcher);
      cancelAnimationFrame(watcher.frame);
      clearTimeout(watcher.timer);
    };
  }

  // Calls `told(topic, data)` for each message and notice, as they come; `told("resync")` when some may have been missed:
  // after the node or this page was away, or too slow. Returns how to stop.
  hear(told) {
    this._ears.add(told);
    return () => this._ears.delete(told);
  }

  changed(topic) {
    for (const watcher of this._watchers) if (watcher.topics.has(topic)) this._wake(watcher);
  }

  // Puts one transfer or peer that the node answered with into its list at once.
  merge(topic, item) {
    if (item?.id === undefined) return;
    this[topic].set(item.id, joined(this[topic].get(item.id), item));
    this.changed(topic);
  }

  remove(topic, id) {
    this[topic].delete(id);
    this.changed(topic);
  }

  _wake(watcher) {
    if (watcher.frame || watcher.timer) return;
    const wait = watcher.last + watcher.every - performance.now();
    if (wait > 8) {
      watcher.timer = setTimeout(() => {
        watcher.timer = 0;
        this._wake(watcher);
      }, wait);
      return;
    }
    watcher.frame = requestAnimationFrame((now) => {
      watcher.frame = 0;
      watcher.last = now;
      watcher.paint();
    });
  }

  _visibility() {
    clearTimeout(this._timer);
    if (document.hidden) {
      this._timer = setTimeout(() => this._close(), 2000); // a glance at another tab costs no new lists
    } else if (!this._socket) {
      this._open();
    }
  }

  _close() {
    const socket = this._socket;
    this._socket = null;
    socket?.close();
  }

  _open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/live`);
    this._socket = socket;
    socket.onmessage = (message) => {
      if (this._socket !== socket) return;
      const event = JSON.parse(message.data);
      if (event.topic === "away") return this._away();
      this._failures = 0;
      this._apply(event);
      if (this.connection !== "live") {
        this.connection = "live";
        this.changed("connection");
        this._say("resync");
      }
    };
    socket.onclose = () => {
      if (this._socket !== socket) return;
      this._socket = null;
      this._away();
      this._retry();
    };
  }

  _retry() {
    clearTimeout(this._timer);
    const wait = RETRY[Math.min(this._failures, RETRY.length - 1)];
    this._failures += 1;
    this._timer = setTimeout(() => {
      if (document.hidden || this._socket) return;
      this._open();
      if (this._failures > 2) this._admitted();
    }, wait);
  }

  // A refused socket looks like a broken one. If it is the login that ended, the server's own page says what to do.
  async _admitted() {
    const answer = await fetch(location.href, { method: "HEAD" }).catch(() => null);
    if (answer?.status === 401) location.reload();
  }

  _away() {
    if (this.connection === "away") return;
    this.connection = "away";
    this.changed("connection");
  }

  // `full` tables replace; others hold, of rows known here, the fields that changed. The gone leave.
  // Status, reach, shape, presence, talk and lending are values of their own; messages and notices are only said.
  _apply({ topic, data }) {
    this.updates += 1;
    if (topic === "resync" || SAID_ONCE.includes(topic)) return this._say(topic, data);
    if (topic === "presence" || topic === "talk" || topic === "lending") this[topic] = data;
    else if (topic === "status") this.status = data;
    else if (topic === "reach" && this.status) this.status = { ...this.status, reach: data };
    else if (topic === "shape") this.shape = data;
    else if (LISTS.includes(topic)) {
      if (data.full) {
        this[topic].clear();
        this.known.add(topic);
      }
      for (const item of data.items) this[topic].set(item.id, joined(this[topic].get(item.id), item));
      for (const id of data.gone ?? []) this[topic].delete(id);
    } else return;
    this.changed(topic === "reach" ? "status" : topic);
  }

  _say(topic, data) {
    for (const told of this._ears) told(topic, data);
  }
}

// A row as it is now, changed in place: at 1,000 rows several times a second, copies would be most of the work.
// `rates` are those of its sources, in their order.
function joined(row, changes) {
  if (!row) return changes;
  Object.assign(row, changes);
  changes.rates?.forEach((rate, index) => row.sources?.[index] && (row.sources[index].rate_bytes_per_s = rate));
  return row;
}

export const live = new Live();
globalThis.servent = { live }; // for the browser's console and the measurements of the tests
