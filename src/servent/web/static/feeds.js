// <sv-feeds>: names that point to the newest version of something: ours, and those we follow.

import { ask, part as quoted, patch, post, press, whole } from "./ask.js";
import { confirmed, dialog } from "./dialog.js";
import { ago, called, check, day, text, trouble } from "./forms.js";
import { attribute, bytes, clean, el, upper, write } from "./format.js";
import { icon } from "./icons.js";
import { Problem, live } from "./live.js";
import { SideList } from "./side_list.js";
import { part, percent, plural } from "./transfer_words.js";

const WORDS = { publishing: "Publishing", published: "Published", waiting: "Waiting", fetching: "Fetching", current: "Up to date", paused: "Paused", failed: "Failed" };
const TONES = { publishing: "accent", published: "direct", waiting: "waiting", fetching: "direct", current: "direct", paused: "waiting", failed: "failed" };

function sentence(feed) {
  if (feed.reason) return upper(clean(feed.reason));
  if (feed.state === "published") return feed.watch ? "Looks at its files, and publishes when they change" : "Publishes when you say so";
  if (feed.state === "current") return `The newest version is here${feed.checked ? `, asked ${ago(feed.checked)}` : ""}`;
  return WORDS[feed.state] ?? clean(feed.state);
}

class Feeds extends SideList {
  topic = "feeds";
  label = "Feeds";
  about = "Details of the feed";
  columns = ["", "Feed", "Version", "Size", ""];
  empty = ["No feeds yet", "A feed is a name that always points to the newest version of a file or folder. Publish one of yours, or follow somebody's: of a new version only what changed is fetched."];

  connectedCallback() {
    super.connectedCallback();
    this.nothing.lastChild.append(
      el("button", { class: "quiet-button", type: "button", onclick: follow }, icon("get"), el("span", {}, "Follow a link")),
      el("button", { class: "main-button", type: "button", onclick: publish }, icon("feed"), el("span", {}, "Publish")));
    this._open = (event) => (event.detail === "follow" ? follow() : publish());
    addEventListener("servent-feed", this._open);
    if (new URLSearchParams(location.search).get("follow")) follow(new URLSearchParams(location.search).get("follow"));
  }

  disconnectedCallback() {
    removeEventListener("servent-feed", this._open);
    super.disconnectedCallback();
  }

  sorted(feeds) {
    return feeds.sort((a, b) => b.mine - a.mine || clean(a.name).localeCompare(clean(b.name)) || (a.id < b.id ? -1 : 1));
  }

  row() {
    const parts = { sign: icon("feed"), name: el("span", { class: "name", dir: "auto" }), mark: el("span", { class: "mark" }), why: el("span", { class: "why", dir: "auto" }), version: el("span", { class: "speed" }), updated: el("span", { class: "small" }), size: el("span", { class: "speed" }), files: el("span", { class: "small" }) };
    const row = el("div", { class: "feed" });
    parts.pause = this.button(row, "pause", "Pause", (feed) => patch(`/feeds/${quoted(feed.id)}`, { paused: feed.state !== "paused" }));
    parts.again = this.button(row, "retry", "Look now", (feed) => post(`/feeds/${quoted(feed.id)}/${feed.mine ? "publish" : "check"}`, undefined, { wait: 120_000 }));
    row.append(el("span", { class: "way" }, parts.sign), el("span", { class: "what" }, el("span", { class: "who" }, parts.name, parts.mark), parts.why),
      el("span", { class: "two" }, parts.version, parts.updated), el("span", { class: "two feed-size" }, parts.size, parts.files), el("span", { class: "actions" }, parts.again, parts.pause));
    row.parts = parts;
    return row;
  }

  fill(row, feed) {
    const { parts } = row;
    const problem = this.problems.get(feed.id);
    row.dataset.tone = problem ? "failed" : TONES[feed.state] ?? "waiting";
    attribute(parts.sign, "name", feed.mine ? "send" : "get");
    write(parts.name, clean(feed.name));
    write(parts.mark, feed.mine ? "yours" : `by ${clean(feed.publisher_name || called(feed.publisher))}`);
    const under = live.transfers.get(feed.transfer);
    write(parts.why, problem ? whole(problem) : this.pending.has(feed.id) ? (feed.mine ? "Looking at the files…" : "Asking for a newer version…") : under?.state === "active" ? `Fetching, ${percent(part(under))} of ${bytes(under.size_bytes)}` : sentence(feed));
    write(parts.version, !feed.sequence ? "none yet" : feed.mine || feed.have === feed.sequence ? `version ${feed.sequence}` : feed.have ? `${feed.have}, newest ${feed.sequence}` : `newest ${feed.sequence}`);
    write(parts.updated, feed.updated ? ago(feed.updated) : "");
    write(parts.size, feed.size_bytes ? bytes(feed.size_bytes) : "");
    write(parts.files, feed.files ? plural(feed.files, "file") : "");
    attribute(parts.pause.firstChild, "name", feed.state === "paused" ? "resume" : "pause");
    parts.pause.title = feed.state === "paused" ? "Go on" : "Pause";
    parts.again.title = feed.mine ? "Look at the files now" : "Ask for a newer version now";
    for (const key of ["pause", "again"]) {
      attribute(parts[key], "aria-label", `${parts[key].title}: ${clean(feed.name)}`);
      parts[key].tabIndex = row.tabIndex;
    }
  }

  details(drawer, feed, fresh) {
    if (fresh) this._frame(drawer, feed);
    const { title, why, facts, link, copy, checks, versions } = this.frame;
    write(title, clean(feed.name));
    write(why, `${WORDS[feed.state] ?? clean(feed.state)}. ${sentence(feed)}.`.replace("..", "."));
    const values = {
      By: feed.mine ? "you" : clean(feed.publisher_name || called(feed.publisher)), Where: clean(feed.path || "–"),
      "Newest version": feed.sequence ? `${feed.sequence}, ${ago(feed.updated)}` : "none yet", Here: feed.mine ? "" : feed.have ? `version ${feed.have}` : "none yet",
      Asked: feed.mine ? "" : ago(feed.checked), Followers: feed.mine ? String(feed.followers) : "",
    };
    for (const [word, { value, nodes }] of Object.entries(facts)) {
      write(value, values[word]);
      for (const node of nodes) node.hidden = !values[word];
    }
    write(link, clean(feed.link));
    copy.parentNode.hidden = !feed.link;
    for (const [field, each] of Object.entries(checks)) if (!each.input.disabled && document.activeElement !== each.input) each.input[each.input.type === "checkbox" ? "checked" : "value"] = feed[field];
    if (this.versioned !== feed.sequence) {
      this.versioned = feed.sequence;
      versions.replaceChildren(...feed.versions.map((one) => el("li", { class: one.sequence === feed.have ? "had" : "" },
        el("span", { class: "name" }, `Version ${one.sequence}`), el("span", { class: "mark" }, one.sequence === feed.have && !feed.mine ? "here" : ""), el("span", { class: "speed" }, one.size_bytes ? bytes(one.size_bytes) : ""),
        el("span", { class: "note", dir: "auto" }, [day(one.published), one.files ? plural(one.files, "file") : "", clean(one.note)].filter(Boolean).join(" · ")))));
      if (!feed.versions.length) versions.replaceChildren(el("li", { class: "muted" }, "No version is known yet."));
    }
  }

  _frame(drawer, feed) {
    this.versioned = -1;
    const fact = (word) => {
      const value = el("dd", { dir: "auto" });
      return [word, { value, nodes: [el("dt", {}, word), value] }];
    };
    const facts = Object.fromEntries(["By", "Where", "Newest version", "Here", "Asked", "Followers"].map(fact));
    const said = trouble();
    const change = (field, read) => async (event) => {
      const input = event.target;
      input.disabled = true;
      write(said, "");
      try {
        live.merge("feeds", await patch(`/feeds/${quoted(feed.id)}`, { [field]: read(input) }));
      } catch (problem) {
        if (!(problem instanceof Problem)) throw problem;
        write(said, whole(problem));
      } finally {
        input.disabled = false;
        this.paint();
      }
    };
    const checks = feed.mine
      ? { watch: check("Publish by itself when the files change") }
      : { auto: check("Fetch each new version by itself", { note: "otherwise it only tells you" }), keep: text("Old versions that stay on the disk", { type: "number", value: String(feed.keep) }) };
    for (const [field, each] of Object.entries(checks)) each.input.addEventListener("change", change(field, (input) => (input.type === "checkbox" ? input.checked : Math.max(0, Math.min(100, Math.round(Number(input.value) || 0))))));
    const number = `feed-link-${feed.id}`;
    const link = el("p", { class: "code", id: number });
    const copy = el("sv-copy", { "data-from": number });
    const end = el("button", { class: "danger-button small-button", type: "button" }, icon("remove"), el("span", { class: "label" }, feed.mine ? "Stop publishing" : "Stop following"));
    end.addEventListener("click", press(end, "Ending it…", async () => {
      const sure = await confirmed(feed.mine ? `Stop publishing ${feed.name}?` : `Stop following ${feed.name}?`,
        [feed.mine ? "Those who follow it hear of no new version. A feed published again under the same name goes on where it stopped." : "No new version is fetched any more.", "The files stay where they are."], feed.mine ? "Stop publishing" : "Stop following");
      if (!sure) return;
      await ask("DELETE", `/feeds/${quoted(feed.id)}`);
      live.remove("feeds", feed.id);
    }, (problem) => write(said, problem ? whole(problem) : "")));
    const title = el("h2", { dir: "auto" });
    const why = el("p", { class: "muted", dir: "auto" });
    const versions = el("ul", { class: "versions" });
    drawer.append(title, why, el("dl", {}, ...Object.values(facts).flatMap(({ nodes }) => nodes)),
      el("div", { class: "pass-on-text" }, el("h3", {}, "Its link, to follow it"), link, copy),
      ...Object.values(checks).map((each) => each.node), said, el("h3", {}, "Versions"), versions, el("div", { class: "drawer-actions" }, end));
    this.frame = { title, why, facts, link, copy, checks, versions };
  }
}
customElements.define("sv-feeds", Feeds);

function form(title, word, fields, send) {
  const box = dialog(title);
  const said = trouble();
  const save = el("button", { class: "main-button", type: "submit" }, el("span", { class: "label" }, word));
  const node = el("form", { class: "dialog-part" }, ...fields.map((each) => each.node ?? each), said, el("div", { class: "dialog-foot" }, save));
  const go = press(save, "Working…", async () => {
    live.merge("feeds", await send());
    box.close();
  }, (problem) => write(said, problem ? whole(problem) : ""));
  node.addEventListener("submit", (event) => {
    event.preventDefault();
    go();
  });
  box.body.append(node);
  (fields.find((each) => each.input) ?? fields[1]).input.focus();
}

export function publish() {
  const name = text("Its name", { hint: "weekly-mix", note: "What followers see; it stays when the files change" });
  const path = text("File or folder on this machine", { hint: "/home/you/Music/Mix" });
  const watch = check("Publish by itself when the files change", { value: true });
  form("Publish", "Publish it", [name, path, watch, el("p", { class: "note" }, "Whoever has the feed's link, and may reach this node, gets each new version. Nobody else does.")], () => {
    if (!name.value || !path.value) throw new Problem({ title: name.value ? "No path was given" : "It has no name yet", advice: "Both are needed" }, 0);
    return post("/feeds/published", { name: name.value, path: path.value, watch: watch.value }, { wait: 120_000 });
  });
}

export function follow(given = "") {
  const link = text("Link of the feed", { hint: "magnet:?xs=urn:btpk:…", lines: 3, value: typeof given === "string" ? given : "" });
  const to = text("Into this folder (empty: your downloads)");
  const auto = check("Fetch each new version by itself", { value: true, note: "otherwise it only tells you" });
  const keep = text("Old versions that stay on the disk", { type: "number", value: "0" });
  form("Follow a feed", "Follow it", [link, auto, to, keep], () => {
    if (!link.value) throw new Problem({ title: "No link was given", advice: "Paste what the publisher gave you" }, 0);
    return post("/feeds/followed", { link: link.value, to: to.value || null, auto: auto.value, keep: Math.max(0, Number(keep.value) || 0) }, { wait: 120_000 });
  });
}
