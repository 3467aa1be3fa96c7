import { html } from "../ui.js";

export function ProfilesPage() {
  return html`<h1>Profiles</h1>`;
}
