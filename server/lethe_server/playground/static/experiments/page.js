import { html } from "../ui.js";

export function ExperimentsPage() {
  return html`<h1>Experiments</h1>`;
}
