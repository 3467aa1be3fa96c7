// Light or dark: the system's choice, or the reader's own, which stays.
import { ofBrowser } from "./storage.js";
import { signal } from "./vendor/signals.js";

const KEY = "lethe.theme";
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");

const shown = () => root.dataset.theme ?? (system.matches ? "dark" : "light");

/** "light" or "dark", as it is shown now. */
export const theme = signal(shown());
system.addEventListener("change", () => (theme.value = shown()));

export function toggleTheme() {
  root.dataset.theme = theme.value === "dark" ? "light" : "dark";
  ofBrowser.set(KEY, root.dataset.theme);
  theme.value = root.dataset.theme;
}
