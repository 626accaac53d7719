// A look at a file before it is fetched whole: text, pictures, sound, the first seconds of film. Its bytes come as
// ranges under a harmless type; text is shown as text, and nothing of it is ever run or drawn as a page.

import { button, dialog } from "./dialog.js";
import { bytes, clean, el, prose, rate, write } from "./format.js";
import { dimensions } from "./dimensions.js";
import { getFile, progressOf } from "./getting.js";
import { extension, tagLine } from "./kinds.js";
import { live } from "./live.js";
import { ask } from "./net.js";

const TEXT_BYTES = 256 * 1024;
const HEAD_BYTES = 64 * 1024;
const PICTURE_BYTES = 64e6;
const PICTURE_PIXELS = 60e6; // 240 MB once unpacked
const SHOWN_AS = {
  image: ["png", "jpg", "jpeg", "gif", "webp", "bmp", "avif"],
  audio: ["mp3", "m4a", "aac", "ogg", "oga", "opus", "flac", "wav", "weba"],
  video: ["mp4", "m4v", "mov", "webm", "ogv", "mkv"],
  text: ["txt", "md", "rst", "log", "csv", "tsv", "json", "toml", "yaml", "yml", "ini", "cfg", "nfo", "srt", "vtt", "cue", "m3u", "m3u8", "xml", "html", "htm", "css", "js", "ts", "py", "c", "h", "cpp", "rs", "go", "java", "sh", "tex", "bib", "diff", "patch", "svg", "sql"],
};

export const previewable = (name) => Object.keys(SHOWN_AS).find((kind) => SHOWN_AS[kind].includes(extension(name))) ?? null;

let open = null;

// file: { content, name, size_bytes, tags, here, peers }; `step(by)` gives the next or previous file of a list.
export function preview(file, step) {
  open?.box.close();
  open = new Preview(file, step);
}

class Preview {
  constructor(file, step) {
    this.step = step;
    this.box = dialog(file.name, { wide: true, closed: () => this._leave() });
    this.box.node.classList.add("preview");
    this.stage = el("div", { class: "preview-stage", tabindex: "-1" });
    this.facts = el("p", { class: "muted preview-facts", dir: "auto" });
    this.state = el("p", { class: "preview-state", role: "status" });
    this.box.body.append(this.stage, this.facts, this.state);
    this.box.node.addEventListener("keydown", (event) => this._key(event));
    this.get = button("Get it", () => getFile(this.file, () => this._tell()), { kind: "main", sign: "get" });
    this.box.foot.append(...(step ? [button("Previous", () => this._other(-1)), button("Next", () => this._other(1))] : []), this.get);
    this._show(file);
  }

  _key(event) {
    if (!this.step || event.target.matches("audio, video, input") || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    event.preventDefault();
    this._other(event.key === "ArrowLeft" ? -1 : 1);
  }

  async _other(by) {
    const file = await this.step(by);
    if (!file || open !== this) return;
    this._end();
    write(this.box.heading, clean(file.name));
    this.box.node.setAttribute("aria-label", clean(file.name));
    this._show(file);
  }

  async _show(file) {
    this.file = file;
    this.transfer = null;
    this.control = new AbortController();
    const signal = this.control.signal;
    const kind = previewable(file.name);
    write(this.facts, [bytes(file.size_bytes), tagLine(file.tags)].filter(Boolean).join(" · "));
    write(this.state, "");
    this.stage.replaceChildren();
    this.get.hidden = Boolean(file.here);
    if (!kind) return this._word("No preview of this kind of file", "Text, pictures, sound and film can be looked at before they are fetched.");
    if (kind === "image" && file.size_bytes > PICTURE_BYTES) return this._word("A very large picture", `Pictures of more than ${bytes(PICTURE_BYTES)} are not drawn here. Get it to look at it with a program of yours.`);
    this._word("Fetching the first bytes…", "");
    try {
      const url = await this._address(file, kind, signal);
      if (signal.aborted) return;
      await this[`_${kind}`](url, signal);
    } catch (wrong) {
      if (!signal.aborted) this._word(wrong.message ?? "It could not be shown", wrong.advice ?? "");
    }
    if (!signal.aborted) this._tell();
  }

  // Where its bytes are: the own library, or a transfer that fetches in order and leaves by itself.
  async _address(file, kind, signal) {
    const as = kind === "text" ? "txt" : extension(file.name);
    if (file.here) return `/bytes/content/${file.content}?as=${as}`;
    const running = progressOf(file.content);
    const transfer = running && running !== "asking" ? running
      : await ask("POST", "/gets", { content: file.content, size_bytes: file.size_bytes, name: file.name.slice(0, 255), peers: (file.peers ?? []).slice(0, 100), preview: true }, { signal });
    this.transfer = transfer.id;
    this.ours = transfer.preview; // only what was fetched for looking ends with the look
    live.merge("transfers", transfer);
    if (signal.aborted) this._end();
    this._stop = live.watch(["transfers"], () => this._tell(), 500);
    return `/bytes/transfers/${transfer.id}/0?as=${as}`;
  }

  async _range(url, signal, length) {
    const answer = await fetch(url, { signal, headers: { Range: `bytes=0-${length - 1}` } });
    if (!answer.ok) {
      const problem = await answer.json().catch(() => null);
      throw Object.assign(new Error(problem?.detail || problem?.title || "Its bytes did not come"), { advice: problem?.advice || "The peer may have left. Try again, or get it." });
    }
    return answer.arrayBuffer();
  }

  async _text(url, signal) {
    const most = Math.min(TEXT_BYTES, this.file.size_bytes);
    const raw = most ? await this._range(url, signal, most) : new ArrayBuffer(0);
    const said = new TextDecoder("utf-8", { fatal: false }).decode(raw.slice(0, TEXT_BYTES));
    if (said.slice(0, 2000).includes("\u0000")) return this._word("This is no text", "Whatever its name says, its bytes are something else. It is not shown.");
    const shown = said.split(/\r\n|\n|\r/).map((line) => clean(line.replaceAll("\t", "    "))).join("\n");
    this.stage.replaceChildren(el("pre", { class: "preview-text", tabindex: "0", "aria-label": "The beginning of the text", dir: "auto" }, shown));
    if (this.file.size_bytes > TEXT_BYTES) write(this.state, `The first ${bytes(TEXT_BYTES)} of ${bytes(this.file.size_bytes)}.`);
  }

  async _image(url, signal) {
    const size = dimensions(await this._range(url, signal, Math.min(HEAD_BYTES, this.file.size_bytes)));
    if (!size) return this._word("This is no picture", "Whatever its name says, its bytes are of no kind that is drawn here.");
    if (size[0] * size[1] > PICTURE_PIXELS) return this._word("A picture too large to draw", `It says it is ${size[0].toLocaleString("en")} × ${size[1].toLocaleString("en")} pixels. Get it to look at it with a program of yours.`);
    const picture = el("img", { alt: clean(this.file.name), class: "preview-picture" });
    await new Promise((done, fail) => {
      picture.onload = done;
      picture.onerror = () => fail(Object.assign(new Error("It could not be drawn"), { advice: "It may be damaged, or not all of it came." }));
      signal.addEventListener("abort", done);
      picture.src = url;
    });
    if (signal.aborted) return;
    this.stage.replaceChildren(picture);
    write(this.facts, `${bytes(this.file.size_bytes)} · ${size[0]} × ${size[1]}`); // as it is, rather than as it says
  }

  _audio(url, signal) {
    return this._player("audio", url, signal);
  }

  _video(url, signal) {
    return this._player("video", url, signal);
  }

  async _player(kind, url, signal) {
    await this._range(url, signal, Math.min(1024, this.file.size_bytes)); // a player does not say why nothing comes
    if (signal.aborted) return;
    const player = el(kind, { controls: true, preload: "metadata", class: `preview-${kind}`, "aria-label": clean(this.file.name) });
    if (kind === "video") player.playsInline = true;
    player.addEventListener("error", () => !signal.aborted && this._word("This cannot be played here", "The browser does not know its format. Get it to play it with a program of yours."));
    player.addEventListener("waiting", () => this._tell("Waiting for the next bytes…"));
    player.addEventListener("playing", () => this._tell());
    player.src = url;
    this.player = player;
    this.stage.replaceChildren(player);
    player.focus({ preventScroll: true });
  }

  _word(title, advice) {
    const text = el("p", { class: "empty-text" });
    prose(text, advice);
    this.stage.replaceChildren(el("div", { class: "empty" }, el("p", { class: "empty-title" }, clean(title)), text));
  }

  // Why it is not there yet, or how fast it comes.
  _tell(waiting) {
    const known = progressOf(this.file.content);
    const got = known && known !== "asking" && !known.preview;
    this.get.disabled = Boolean(known === "asking" || got);
    write(this.get.lastChild, known === "asking" ? "Asking…" : got ? (known.state === "complete" ? "You have it" : "On its way") : "Get it");
    const transfer = live.transfers.get(this.transfer);
    if (!transfer) return;
    if (transfer.state === "failed") return write(this.state, `${clean(transfer.error || "It failed.")} ${clean(transfer.advice || "")}`);
    const speed = transfer.state === "active" ? `Coming at ${rate(transfer.rate_bytes_per_s)} from ${transfer.sources?.length ?? 0} of its sources` : transfer.state === "complete" ? "" : clean(transfer.reason || "");
    write(this.state, [waiting, speed].filter(Boolean).join(" "));
  }

  _end() {
    this.control?.abort();
    this._stop?.();
    if (this.player) {
      this.player.removeAttribute("src");
      this.player.load(); // ends its requests
      this.player = null;
    }
    if (this.transfer && this.ours && live.transfers.get(this.transfer)?.state !== "complete")
      ask("DELETE", `/transfers/${encodeURIComponent(this.transfer)}`).catch(() => null); // ended, and off the list
    this.transfer = null;
  }

  _leave() {
    this._end();
    if (open === this) open = null;
  }
}
