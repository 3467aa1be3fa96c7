// Where the focus goes when what had it is removed: otherwise it is nowhere.
import { useLayoutEffect, useRef } from "../ui.js";

/**
 * References: `box` for an element, and `heir` for the one that gets the focus where a rendering of
 * the component that calls this removes what has it from the box.
 */
export function useFocusKept() {
  const box = useRef(null);
  const heir = useRef(null);
  const had = box.current?.contains(document.activeElement);
  useLayoutEffect(() => {
    if (had && document.activeElement === document.body) heir.current?.focus();
  });
  return { box, heir };
}
