// The apps of an own project: each version with its limits, and the end of it.

import { get, part as quoted, post } from "./ask.js";
import { confirmed } from "./dialog.js";
import { clean, el } from "./format.js";
import { addApp, appFacts, submit } from "./grid_forms.js";
import { deed, empty } from "./grid_words.js";
import { live } from "./live.js";

export class Apps {
  constructor(fail) {
    this.fail = fail;
    this.node = el("div", { class: "apps" });
  }

  show(one) {
    const mark = JSON.stringify([one.apps, one.closed]);
    if (mark === this.mark) return;
    this.mark = mark;
    const apps = [...one.apps].sort((a, b) => a.retired - b.retired || b.created - a.created || b.version - a.version);
    this.node.replaceChildren(...apps.map((app) => this._app(one, app)));
    if (!apps.length) this.node.append(empty("No app yet", "An app is a program as a WebAssembly module: it reads a unit and writes its result. `servent grid build` makes one from C.".replaceAll("`", ""), ...(one.closed ? [] : [deed("Add an app", () => addApp(one), { sign: "add", kind: "main" })])));
  }

  _app(one, app) {
    const { fail } = this;
    const buttons = app.retired || one.closed ? [] : [
      deed("Submit work", () => submit(live.projects.get(one.id), app.name), { small: true, sign: "send", said: fail }),
      deed("New version", () => addApp(one, app), { small: true, sign: "add", said: fail }),
      deed("Retire", async () => {
        if (!(await confirmed(`Retire ${app.name}, version ${app.version}?`, ["No more work can be submitted for it. Units it has already are finished."], "Retire it"))) return;
        await post(`/grid/projects/${quoted(one.id)}/apps/retire`, { app: app.id });
        live.merge("projects", await get(`/grid/projects/${quoted(one.id)}`));
      }, { small: true, kind: "danger", said: fail }),
    ];
    return el("article", { class: `app-card${app.retired ? " resting" : ""}` }, el("div", { class: "who" }, el("h3", { dir: "auto" }, clean(app.name)), el("span", { class: "mark" }, `version ${app.version}`), ...(app.retired ? [el("span", { class: "mark" }, "retired")] : [])), appFacts(app), el("div", { class: "grid-card-foot" }, ...buttons));
  }
}
