// The fast lane: numbers of the rows on the screen, as they change, up to 30 times a second. Everything else comes
// twice a second with the events; without the lane the table is as right, and only less smooth.

import { live } from "./live.js";

const SETTLE = 150; // ms that the view stays as it is before it is asked for
const RETRY = 5000; // ms
const MOST = 64;

export class Lane {
  // told(ids) is called after the numbers of these rows changed in `live`.
  constructor(told) {
    this.told = told;
    this.ids = [];
    this.messages = 0;
    this._asked = "";
    this._hidden = () => this._settle();
    document.addEventListener("visibilitychange", this._hidden);
  }

  see(ids) {
    if (ids.length === this.ids.length && ids.every((id, index) => id === this.ids[index])) return;
    this.ids = ids.slice(0, MOST);
    this._settle();
  }

  close() {
    document.removeEventListener("visibilitychange", this._hidden);
    clearTimeout(this._timer);
    this.ids = [];
    this._drop();
  }

  _settle() {
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._ask(), SETTLE);
  }

  _drop() {
    const socket = this._socket;
    this._socket = null;
    this._asked = "";
    socket?.close();
  }

  _ask() {
    if (document.hidden || !this.ids.length) {
      if (document.hidden) this._drop();
      else this._say([]);
      return;
    }
    if (!this._socket) this._open();
    else this._say(this.ids);
  }

  _say(ids) {
    if (this._socket?.readyState !== WebSocket.OPEN) return;
    const text = JSON.stringify({ see: ids });
    if (text === this._asked) return;
    this._asked = text;
    this._socket.send(text);
  }

  _open() {
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/lane`);
    this._socket = socket;
    socket.onopen = () => this._say(this.ids);
    socket.onmessage = (message) => {
      if (this._socket !== socket) return;
      this.messages += 1;
      const changed = new Set();
      for (const [id, done, rate, eta] of JSON.parse(message.data)) {
        const transfer = live.transfers.get(id);
        if (!transfer) continue;
        transfer.done_bytes = done;
        transfer.rate_bytes_per_s = rate;
        transfer.eta_s = eta;
        changed.add(id);
      }
      if (changed.size) this.told(changed);
    };
    socket.onclose = () => {
      if (this._socket !== socket) return;
      this._socket = null;
      this._asked = "";
      clearTimeout(this._timer);
      this._timer = setTimeout(() => this._ask(), RETRY);
    };
  }
}
