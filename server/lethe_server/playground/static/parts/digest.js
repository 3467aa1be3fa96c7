// A digest, shortened; a press copies all of it, or shows it where the browser copies nothing: over
// HTTP, and from another machine.
import { html, useState } from "../ui.js";
import { alertOf, announce } from "../messages.js";
import { short } from "./text.js";

const SHEETS = "M5.5 5.5V2.5h8v8h-3M2.5 5.5h8v8h-8Z";
const DONE = "M2.5 8.5l3.5 3.5 7.5-8";

export function Digest({ value }) {
  const [copied, setCopied] = useState(false);
  const copy = async () => {
    if (!navigator.clipboard) return alertOf(`This page may not copy. The digest is ${value}`, "done");
    await navigator.clipboard.writeText(value);
    setCopied(true);
    announce("The digest is copied.");
  };
  return html`<button
    type="button"
    class="digest"
    title=${value}
    aria-label=${`Copy the digest ${short(value)}`}
    onClick=${copy}
    onBlur=${() => setCopied(false)}
  >
    <code>${short(value)}</code>
    <svg viewBox="0 0 16 16" aria-hidden="true" focusable="false"><path d=${copied ? DONE : SHEETS} /></svg>
  </button>`;
}
