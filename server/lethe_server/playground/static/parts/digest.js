// A digest, shortened; a press copies all of it.
import { copy } from "../copying.js";
import { html, useState } from "../ui.js";
import { short } from "./text.js";

const SHEETS = "M5.5 5.5V2.5h8v8h-3M2.5 5.5h8v8h-8Z";
const DONE = "M2.5 8.5l3.5 3.5 7.5-8";

export function Digest({ value }) {
  const [copied, setCopied] = useState(false);
  return html`<button
    type="button"
    class="digest"
    title=${value}
    aria-label=${`Copy the digest ${short(value)}`}
    onClick=${async () => setCopied(await copy(value, "Digest"))}
    onBlur=${() => setCopied(false)}
  >
    <code>${short(value)}</code>
    <svg viewBox="0 0 16 16" aria-hidden="true" focusable="false"><path d=${copied ? DONE : SHEETS} /></svg>
  </button>`;
}
