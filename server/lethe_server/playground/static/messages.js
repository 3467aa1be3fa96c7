// What the page tells, in a line: for a screen reader alone, or also for everybody to see.
import { html } from "./ui.js";

const KEPT = 8;
const SHOWN_MS = 4000;

/** Where it is told. A modal dialog has one of its own, since all else is closed to a reader then. */
export const Announcements = () => html`<div class="announcements" role="status"></div>`;

const region = () =>
  [...document.querySelectorAll("dialog[open] > .announcements")].at(-1) ?? document.getElementById("announcements");

/** Has a screen reader say something when it is done with what it says now. */
export function announce(text) {
  tell(text, "visually-hidden");
}

/** As `announce`, and shows it for a few seconds. */
export function show(text) {
  const line = tell(text, "notice");
  setTimeout(() => (line.className = "visually-hidden"), SHOWN_MS);
}

function tell(text, kind) {
  const [line, within] = [document.createElement("div"), region()];
  line.className = kind;
  line.textContent = text;
  within.append(line);
  // Several that come at once are all said; what was said long ago need not be found again.
  while (within.childElementCount > KEPT) within.firstElementChild.remove();
  return line;
}

/** An error in the place where it happened. */
export const Problem = ({ text, children }) =>
  html`<div class="problem" role="alert"><p>${text}</p>${children}</div>`;
