// The frames of a chain of generations, fetched in pieces as they are looked at. Nothing here draws.

import { get, part as quoted } from "./ask.js";
import { Problem } from "./live.js";
import { query } from "./net.js";

const PIECE = 768 * 1024; // bytes a request, about
const KEPT = 64 * 1024 * 1024; // bytes in memory, however long the film is
const WAIT = 30_000; // ms

export class Film {
  // came() is called when frames arrived, failed(problem) when some could not be had.
  constructor(batch, chain, { came, failed }) {
    this.batch = batch;
    this.chain = chain;
    this.came = came;
    this.failed = failed;
    this.about = null;
    this.length = 0;
    this._pieces = new Map(); // "number:first" -> ArrayBuffer; in the order of their last use
    this._under = new Set();
    this._bytes = 0;
  }

  // What there is now; more generations may have come.
  async look() {
    const about = await get(`/grid/batches/${quoted(this.batch)}/chains/${this.chain}/trajectory`);
    this.about = about;
    this.each = 16 + 6 * about.atoms;
    this.per = Math.max(1, Math.floor(PIECE / this.each));
    this._begins = [];
    this.length = 0;
    for (const part of about.parts) {
      this._begins.push(this.length);
      this.length += part.frames;
    }
    return about;
  }

  // { part, step, place in it } of a frame by its number in the whole film.
  whereabouts(frame) {
    let low = 0;
    let high = this._begins.length;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this._begins[middle] <= frame) low = middle;
      else high = middle;
    }
    while (low + 1 < this._begins.length && !this.about.parts[low].frames) low += 1;
    const part = this.about.parts[low];
    const place = frame - this._begins[low];
    return { part, place, step: part.first + place * this.about.every };
  }

  // The frame nearest to a step.
  nearest(step) {
    let low = 0;
    let high = this.length - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.whereabouts(middle).step < step) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  // { step, generation, potential, kinetic, at }, or null while it is fetched. Little-endian, as all machines with browsers are.
  frame(number) {
    const { part, place, step } = this.whereabouts(number);
    const first = Math.floor(place / this.per) * this.per;
    const key = `${part.number}:${first}`;
    const piece = this._pieces.get(key);
    if (!piece) {
      this._fetch(part, first, key);
      return null;
    }
    this._pieces.delete(key);
    this._pieces.set(key, piece);
    const offset = (place - first) * this.each;
    if (offset + this.each > piece.byteLength) return null;
    const said = new DataView(piece, offset, 16);
    return { step, generation: part.generation, potential: said.getFloat64(0, true), kinetic: said.getFloat64(8, true), at: new Uint16Array(piece, offset + 16, 3 * this.about.atoms) };
  }

  async _fetch(part, first, key) {
    if (this._under.has(key) || this._under.size > 2) return;
    this._under.add(key);
    try {
      const answer = await fetch(`/node/grid/batches/${quoted(this.batch)}/frames/${part.number}${query({ first, count: this.per })}`, { signal: AbortSignal.timeout(WAIT) }).catch(() => null);
      if (!answer?.ok) throw new Problem(answer ? await answer.json().catch(() => null) : { title: "The node did not answer" }, answer?.status ?? 0);
      const piece = await answer.arrayBuffer();
      this._pieces.set(key, piece);
      this._bytes += piece.byteLength;
      for (const [old, other] of this._pieces) {
        if (this._bytes <= KEPT || old === key) break;
        this._pieces.delete(old);
        this._bytes -= other.byteLength;
      }
      this.came();
    } catch (problem) {
      if (!(problem instanceof Problem)) throw problem;
      this.failed(problem);
    } finally {
      this._under.delete(key);
    }
  }
}
