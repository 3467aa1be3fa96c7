// Where the focus goes when what had it is removed from a list: otherwise it is nowhere.
import { useEffect, useRef } from "../ui.js";

/** A reference for the element that gets it; `count` is how many there are. */
export function useFocusAfterRemoval(count) {
  const element = useRef(null);
  const before = useRef(count);
  useEffect(() => {
    if (count < before.current && document.activeElement === document.body) element.current?.focus();
    before.current = count;
  }, [count]);
  return element;
}
