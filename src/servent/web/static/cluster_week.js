// The hours of a group as a week at a glance: seven days of twenty-four hours, those in which its machines work in colour.

import { el } from "./format.js";

const DAYS = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const SETS = { daily: DAYS, weekdays: DAYS.slice(0, 5), weekend: DAYS.slice(5) };
const SVG = "http://www.w3.org/2000/svg";

// Whether each hour of each day is (mostly) inside of one of the rules; every one where there is no rule.
export function week(hours) {
  const inside = DAYS.map(() => Array(24).fill(hours.length === 0));
  for (const rule of hours) {
    const [days, times = ""] = rule.split(" ");
    const [begin, end] = times.split("-").map((text) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3)));
    for (const day of Object.hasOwn(SETS, days) ? SETS[days] : days.split(",")) { // the owner wrote them
      const first = DAYS.indexOf(day);
      if (first < 0) continue;
      for (let hour = 0; hour < 24; hour += 1) {
        const middle = hour * 60 + 30;
        if (begin < end ? middle >= begin && middle < end : middle >= begin) inside[first][hour] = true;
        if (begin >= end && middle < end) inside[(first + 1) % 7][hour] = true;
      }
    }
  }
  return inside;
}

export function weekPicture(hours) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 7");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", hours.length ? `Works ${hours.join(", ")}` : "Works always");
  svg.setAttribute("class", "week-picture");
  week(hours).forEach((day, row) => day.forEach((on, hour) => {
    const cell = document.createElementNS(SVG, "rect");
    for (const [name, value] of [["x", hour + 0.06], ["y", row + 0.08], ["width", 0.88], ["height", 0.84], ["rx", 0.16]]) cell.setAttribute(name, value);
    if (on) cell.setAttribute("class", "on");
    svg.append(cell);
  }));
  return el("figure", { class: "week" }, svg, el("figcaption", { class: "week-hours", "aria-hidden": "true" }, ...["0", "6", "12", "18", "24"].map((hour) => el("span", {}, hour))));
}
