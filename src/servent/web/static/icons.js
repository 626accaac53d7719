// <sv-icon name="…">: a small line drawing from this fixed table, coloured like the text around it.

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  overview: ["M12 12m-3 0a3 3 0 1 0 6 0a3 3 0 1 0-6 0", "M14.6 10.5L19 7", "M9.6 13.6L5 17", "M9.7 10.1L6 6", "M20.5 6m-1.5 0a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0", "M3.8 18m-1.5 0a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0", "M5 5m-1.5 0a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0"],
  transfers: ["M8 4v15", "M4.5 15.5L8 19l3.5-3.5", "M16 20V5", "M12.5 8.5L16 5l3.5 3.5"],
  peers: ["M9 8m-3.2 0a3.2 3.2 0 1 0 6.4 0a3.2 3.2 0 1 0-6.4 0", "M3 19.5c.4-3.4 2.8-5.5 6-5.5s5.600 2.100 6 5.500", "M15.500 5.300a3 3 0 0 1 0 5.600", "M17.500 14.500c2 .8 3.200 2.600 3.500 5"],
  invite: ["M10 13.500a4 4 0 0 0 5.700 0l3.100-3.100a4 4 0 0 0-5.700-5.700l-1.200 1.200", "M14 10.500a4 4 0 0 0-5.700 0l-3.100 3.100a4 4 0 0 0 5.700 5.700l1.200-1.200"],
  doctor: ["M3 12h4l2.500-6.500 4.500 13L16.500 12H21"],
  down: ["M12 4v15", "M6.500 13.500L12 19l5.500-5.500"],
  up: ["M12 20V5", "M6.500 10.500L12 5l5.500 5.500"],
  pause: ["M9 6v12", "M15 6v12"],
  resume: ["M8 5.500l10 6.500-10 6.500z"],
  cancel: ["M6.500 6.500l11 11", "M17.500 6.500l-11 11"],
  close: ["M6.500 6.500l11 11", "M17.500 6.500l-11 11"],
  check: ["M5 12.500l4.500 4.500L19 7.500"],
  warn: ["M12 4.500l8.500 15h-17z", "M12 10v4.500", "M12 17v.1"],
  fail: ["M12 12m-8.500 0a8.500 8.500 0 1 0 17 0a8.500 8.500 0 1 0-17 0", "M9 9l6 6", "M15 9l-6 6"],
  skip: ["M12 12m-8.500 0a8.500 8.500 0 1 0 17 0a8.500 8.500 0 1 0-17 0", "M8.500 12h7"],
  copy: ["M9 9h10v11H9z", "M5 15V4h10"],
  send: ["M4 12l16-7-5 15-3.500-6.500z", "M11.500 13.500L20 5"],
  get: ["M12 4v10", "M7.500 10L12 14.500 16.500 10", "M5 19.500h14"],
  theme: ["M12 12m-8.500 0a8.500 8.500 0 1 0 17 0a8.500 8.500 0 1 0-17 0", "M12 3.500v17", "M12 7h6.800", "M12 12h8.400", "M12 17h6.800"],
  edit: ["M5 19l.8-3.800L16.500 4.500l3 3L8.800 18.200z"],
  search: ["M10.500 10.500m-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0", "M15 15l5 5"],
  remove: ["M5 7h14", "M10 7V4.500h4V7", "M7 7l.8 12.500h8.400L17 7"],
  verify: ["M12 3.500l7 2.800v5.200c0 4.200-2.800 7.400-7 9-4.200-1.600-7-4.800-7-9V6.300z", "M8.800 12l2.300 2.300 4.100-4.300"],
  retry: ["M19 12a7 7 0 1 1-2.200-5.100", "M19.500 4v4h-4"],
  feed: ["M6.500 17.500m-1.500 0a1.500 1.500 0 1 0 3 0a1.500 1.500 0 1 0-3 0", "M5 11a8 8 0 0 1 8 8", "M5 5a14 14 0 0 1 14 14"],
  wish: ["M12 4l2.400 5 5.600.7-4.100 3.800 1 5.500L12 16.300 7.100 19l1-5.500L4 9.700 9.600 9z"],
  settings: ["M5 7h9", "M18 7h1", "M16 7m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0", "M5 17h1", "M10 17h9", "M8 17m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0", "M5 12h6", "M15 12h4", "M13 12m-2 0a2 2 0 1 0 4 0a2 2 0 1 0-4 0"],
  away: ["M4 4l16 16", "M8.500 8.600A8 8 0 0 0 5 11", "M12 7.500c2.700 0 5.100 1.200 7 3.500", "M9.500 15a3.600 3.600 0 0 1 5 0", "M12 19v.1"],
};

class Icon extends HTMLElement {
  static observedAttributes = ["name"];
  connectedCallback() {
    this.setAttribute("aria-hidden", "true");
    this.draw();
  }
  attributeChangedCallback() {
    if (this.isConnected) this.draw();
  }
  draw() {
    const svg = document.createElementNS(SVG, "svg");
    for (const [key, value] of Object.entries({ viewBox: "0 0 24 24", fill: "none", stroke: "currentColor", "stroke-width": "1.8", "stroke-linecap": "round", "stroke-linejoin": "round" }))
      svg.setAttribute(key, value);
    for (const d of PATHS[this.getAttribute("name")] ?? []) {
      const path = document.createElementNS(SVG, "path");
      path.setAttribute("d", d);
      svg.append(path);
    }
    this.replaceChildren(svg);
  }
}
customElements.define("sv-icon", Icon);

export function icon(name) {
  const node = document.createElement("sv-icon");
  node.setAttribute("name", name);
  return node;
}
