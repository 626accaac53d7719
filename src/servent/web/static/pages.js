// A long list of which only the parts that are seen are fetched. As `Rows` needs it: `length` and `at(index)`.

const SIZE = 200; // rows a request
const KEPT = 60; // pages in memory: 12,000 rows, however long the list is
const AT_ONCE = 3; // requests
const SETTLE = 60; // ms; rows that fly past under a dragged scroll bar are not asked for

export class Pages {
  // load(offset, limit, signal) -> { entries, total, … }; changed() after something came; failed(problem).
  constructor({ load, changed, failed }) {
    this._load = load;
    this._changed = changed;
    this._failed = failed;
    this._pages = new Map(); // number -> entries; in the order of their last use
    this._under = new Map(); // number -> AbortController
    this._range = [0, 0];
    this._timer = 0;
    this.length = 0;
    this.asked = 0; // requests so far, for measurements
    this.about = null; // the last answer without its entries
  }

  at(index) {
    return this._pages.get(Math.floor(index / SIZE))?.[index % SIZE];
  }

  // The rows from `first` to before `last` are seen now.
  want(first, last) {
    const jumped = Math.abs(first - this._range[0]) > SIZE;
    this._down = first >= this._range[0];
    this._range = [first, last];
    clearTimeout(this._timer);
    if (jumped) this._timer = setTimeout(() => this._fetch(), SETTLE);
    else this._fetch();
  }

  _fetch() {
    const [first, last] = this._range;
    const from = Math.floor(first / SIZE);
    const to = Math.floor(Math.max(first, last - 1) / SIZE);
    const ahead = this._down === false ? from - 1 : to + 1; // the next one in the direction of travel
    for (const [number, control] of this._under) {
      if (number < from - 1 || number > to + 1) {
        control.abort(); // nobody looks there any more
        this._under.delete(number);
      }
    }
    for (let number = from; number <= to; number += 1) this._get(number);
    if (ahead >= 0 && ahead * SIZE < this.length && this._under.size < AT_ONCE) this._get(ahead);
  }

  async _get(number) {
    const kept = this._pages.get(number);
    if (kept) {
      this._pages.delete(number);
      this._pages.set(number, kept);
      return;
    }
    if (this._under.has(number) || (number && number * SIZE >= this.length)) return;
    const control = new AbortController();
    this._under.set(number, control);
    this.asked += 1;
    try {
      const answer = await this._load(number * SIZE, SIZE, control.signal);
      if (control.signal.aborted) return;
      const { entries, ...about } = answer;
      this._pages.set(number, entries);
      while (this._pages.size > KEPT) this._pages.delete(this._pages.keys().next().value);
      this.length = about.total ?? entries.length;
      this.about = about;
      this._changed(this);
    } catch (wrong) {
      if (!control.signal.aborted) this._failed(wrong);
    } finally {
      if (this._under.get(number) === control) this._under.delete(number);
    }
  }

  // Ends what is under way; the list is not used any more.
  close() {
    clearTimeout(this._timer);
    for (const control of this._under.values()) control.abort();
    this._under.clear();
  }
}
