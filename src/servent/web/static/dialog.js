// A modal window of our own components: the browser's <dialog>, which keeps the focus inside and gives it back.

import { clean, el } from "./format.js";
import { icon } from "./icons.js";

export function dialog(title, { wide = false, closed } = {}) {
  const heading = el("h2", { dir: "auto" }, clean(title));
  const body = el("div", { class: "dialog-body" });
  const foot = el("div", { class: "dialog-foot" });
  const node = el("dialog", { class: `dialog own-dialog${wide ? " wide-dialog" : ""}`, "aria-label": clean(title) },
    el("div", { class: "dialog-head" }, heading, el("button", { class: "round", type: "button", "aria-label": "Close", onclick: () => node.close() }, icon("close"))),
    body, foot);
  node.addEventListener("click", (event) => event.target === node && node.close()); // outside of it
  node.addEventListener("close", () => {
    closed?.();
    node.remove();
  });
  document.body.append(node);
  node.showModal();
  return { node, heading, body, foot, close: () => node.close() };
}

export const button = (word, press, { kind = "quiet", sign } = {}) =>
  el("button", { class: `${kind}-button`, type: "button", onclick: press }, ...(sign ? [icon(sign)] : []), el("span", {}, word));

// A field for where on the node's machine something goes.
export function whither() {
  const field = el("input", { class: "path-field", type: "text", autocomplete: "off", spellcheck: false, maxlength: 4096, placeholder: "your downloads" });
  return { field, node: el("label", { class: "field" }, el("span", { class: "field-label" }, "Into the folder"), field), value: () => field.value.trim() || undefined };
}

// Resolves to true when the person says so, false when they close it. `more` are fields of theirs between.
export function confirmed(title, sentences, word, ...more) {
  return new Promise((resolve) => {
    let answer = false;
    const box = dialog(title, { closed: () => resolve(answer) });
    box.body.append(...sentences.map((sentence) => el("p", { dir: "auto" }, clean(sentence))), ...more);
    const yes = button(word, () => {
      answer = true;
      box.close();
    }, { kind: "main" });
    box.foot.append(button("Not now", box.close), yes);
    yes.focus();
  });
}
