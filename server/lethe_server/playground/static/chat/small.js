// The small buttons below an answer and below the prompt.
import { html } from "../ui.js";

/** @param label what a screen reader says where the visible text does not suffice. */
export const Small = ({ quiet = false, label, onClick, children, ...more }) =>
  html`<button
    type="button"
    class=${quiet ? "quiet small" : "small"}
    aria-label=${label}
    onClick=${onClick}
    ...${more}
    >${children}</button
  >`;
