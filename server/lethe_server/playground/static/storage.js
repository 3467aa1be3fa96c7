// What the browser keeps for this page. Where it keeps nothing, as with site data blocked, things
// last until the page is left.

function kept(name) {
  const here = new Map();
  return {
    /** What was kept under a key; null for nothing. */
    get(key) {
      if (here.has(key)) return here.get(key);
      try {
        return globalThis[name].getItem(key);
      } catch {
        return null;
      }
    },
    set(key, value) {
      here.set(key, value);
      try {
        globalThis[name].setItem(key, value);
      } catch {
        // Kept in `here` alone.
      }
    },
  };
}

/** Kept for this tab, until it is closed. */
export const ofTab = kept("sessionStorage");

/** Kept for every tab, for good. */
export const ofBrowser = kept("localStorage");
