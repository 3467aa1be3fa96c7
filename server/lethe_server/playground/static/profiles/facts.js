// What the server says of a profile's making, whatever it is: nested names and values.
import { Digest } from "../parts/digest.js";
import { html } from "../ui.js";

const SHA256 = /^[0-9a-f]{64}$/;
const isTree = (value) => value !== null && typeof value === "object";

export function Facts({ of }) {
  const facts = Object.entries(of);
  if (!facts.length) return html`<p class="note">Nothing is said.</p>`;
  return html`<dl class="profile-facts">
    ${facts.map(
      ([name, value]) =>
        html`<div key=${name} class=${isTree(value) ? "tree" : ""}>
          <dt>${name.replaceAll("_", " ")}</dt>
          <dd>${isTree(value) ? html`<${Nested} value=${value} />` : shown(value)}</dd>
        </div>`,
    )}
  </dl>`;
}

function Nested({ value }) {
  if (!Array.isArray(value)) return html`<${Facts} of=${value} />`;
  if (value.some(isTree))
    return html`<${Facts} of=${Object.fromEntries(value.map((one, at) => [`${at + 1}`, one]))} />`;
  return value.map(shown).join(", ") || "none";
}

function shown(value) {
  if (value === null || value === "") return "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (SHA256.test(value)) return html`<${Digest} value=${value} />`;
  return String(value);
}
