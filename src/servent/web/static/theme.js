// Before the first paint: the theme this browser chose, or the system's.
(() => {
  const system = matchMedia("(prefers-color-scheme: dark)");
  globalThis.serventTheme = {
    get choice() {
      const kept = localStorage.getItem("servent-theme");
      return ["light", "dark"].includes(kept) ? kept : "auto";
    },
    set choice(wanted) {
      localStorage.setItem("servent-theme", wanted);
      this.dress();
    },
    dress() {
      const dark = this.choice === "dark" || (this.choice === "auto" && system.matches);
      document.documentElement.dataset.theme = dark ? "dark" : "light";
    },
  };
  system.addEventListener("change", () => serventTheme.dress());
  serventTheme.dress();
})();
