// The titles of a table's columns.
import { html } from "../ui.js";

export const heads = (titles, kind = "") =>
  titles.map((title) => html`<th scope="col" class=${kind} key=${title}>${title}</th>`);
