// Whether requests still take part.
import { html } from "../ui.js";

export const Status = ({ of }) =>
  html`<span class="status ${of}"><span aria-hidden="true">${of === "running" ? "●" : "■"}</span> ${of}</span>`;
