// Files that are let go over the window go to the page that takes some. Elsewhere nothing happens to
// them, where a browser would leave for the file and lose what is on the page.
import { signal, useEffect } from "./ui.js";

/** Whether files are held over a page that takes them. */
export const held = signal(false);

let taker = null;

/** Has a page take files as long as it is shown. */
export function useDrops(take) {
  useEffect(() => {
    taker = take;
    return () => {
      taker = null;
      held.value = false;
    };
  }, []);
}

const withFiles = (act) => (event) => {
  if (!event.dataTransfer?.types.includes("Files")) return;
  event.preventDefault();
  act(event);
};

addEventListener(
  "dragover",
  withFiles((event) => {
    held.value = taker !== null;
    if (!taker) event.dataTransfer.dropEffect = "none";
  }),
);
addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) held.value = false;
});
addEventListener(
  "drop",
  withFiles((event) => {
    held.value = false;
    taker?.(event.dataTransfer.files);
  }),
);
