// What an operator said of a profile, and whether the engine has it.
import { html } from "../ui.js";

export const Marks = ({ profile }) =>
  html`<span class="marks">
    ${profile.pinned && html`<span class="badge warm">pinned</span>`}
    ${profile.resident && html`<span class="badge good">resident</span>`}
    ${Object.entries(profile.labels).map(
      ([name, value]) => html`<span class="badge" key=${name}>${name}: ${value}</span>`,
    )}
  </span>`;
