// Which screen this is and what it shows, in the address: links, back and forward work, and a reload changes nothing.


// Opens an address of ours. NiceGUI draws another screen; the one that is open already is told of its new query.
export function go(target, { replace = false } = {}) {
  const state = { page: target };
  if (replace) history.replaceState(state, "", target);
  else history.pushState(state, "", target);
  dispatchEvent(new PopStateEvent("popstate", { state }));
}

// The query changes without a step in the history, and without anybody being told.
export function note(values) {
  const search = new URLSearchParams(Object.entries(values).filter(([, value]) => value)).toString();
  const target = `${location.pathname}${search ? `?${search}` : ""}`;
  history.replaceState({ page: target }, "", target);
}

export const wanted = () => Object.fromEntries(new URLSearchParams(location.search));

// Calls `told` when the address changed while `path` stays the screen; returns how to stop.
export function follow(path, told) {
  const listener = () => location.pathname === path && told(wanted());
  addEventListener("popstate", listener);
  return () => removeEventListener("popstate", listener);
}

// Links of ours change the address first, and then the screen: what opens reads where it is.
document.addEventListener("click", (event) => {
  if (event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return undefined;
  const link = event.target.closest?.("a[href^='/']");
  if (!link || link.target || link.hasAttribute("download")) return undefined;
  event.preventDefault();
  event.stopPropagation();
  if (link.dataset.own !== undefined) return link.dispatchEvent(new CustomEvent("servent-go")); // its component changes the address
  const target = link.getAttribute("href");
  if (target !== location.pathname + location.search) go(target);
  return undefined;
}, true);

