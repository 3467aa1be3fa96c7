// The address's fragment: which page, and what a page keeps there. `#/chat?prompt=Hi`.
import { computed, signal } from "./vendor/signals.js";

const fragment = signal(location.hash);
addEventListener("hashchange", () => (fragment.value = location.hash));

const parts = computed(() => {
  const [path, query = ""] = fragment.value.replace(/^#\/?/, "").split(/\?(.*)/s);
  return { page: path || "chat", query };
});

/** The name of the page: "chat", "profiles" or "experiments", or what else the address has. */
export const page = computed(() => parts.value.page.split("/")[0]);

/** What follows the page's name: "france" of `#/profiles/france`; "" for nothing. */
export const rest = computed(() => {
  const [, ...others] = parts.value.page.split("/");
  return others.map(decoded).join("/");
});

/** The query of the fragment, as URLSearchParams. */
export const query = computed(() => new URLSearchParams(parts.value.query));

/** Writes a page's query without a step in the history, unless another page is shown. */
export function keepQuery(of, params) {
  if (page.value !== of) return;
  const text = params.toString();
  const hash = `#/${parts.value.page}${text && `?${text}`}`;
  history.replaceState(null, "", hash);
  fragment.value = hash;
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
