// What the page tells: politely to a screen reader, or as an alert that everybody sees.
import { html, signal } from "./ui.js";

const region = document.getElementById("announcements");

const KEPT = 8;

/** Has a screen reader say something when it is done with what it says now. */
export function announce(text) {
  const line = document.createElement("div");
  line.textContent = text;
  region.append(line);
  // Several that come at once are all said; what was said long ago need not be found again.
  while (region.childElementCount > KEPT) region.firstElementChild.remove();
}

/** The alerts that are shown, the oldest first. */
const alerts = signal([]);
let count = 0;

/** Shows an alert until it is dismissed. `kind` is "error" or "done". */
export function alertOf(text, kind = "error") {
  count += 1;
  alerts.value = [
    ...alerts.value.filter((one) => one.text !== text).slice(-3),
    { id: count, text, kind },
  ];
}

const dismiss = (id) => (alerts.value = alerts.value.filter((one) => one.id !== id));

export function Alerts() {
  return html`<div class="alerts">
    ${alerts.value.map(
      ({
        id,
        text,
        kind,
      }) => html`<div key=${id} class="alert ${kind}" role=${kind === "error" ? "alert" : "status"}>
        <p>${text}</p>
        <button type="button" class="quiet" aria-label="Dismiss: ${text}" onClick=${() => dismiss(id)}>✕</button>
      </div>`,
    )}
  </div>`;
}

/** An error in the place where it happened. */
export const Problem = ({ text, children }) =>
  html`<div class="problem" role="alert"><p>${text}</p>${children}</div>`;
