// To the clipboard; where the browser has none for this address, to a dialog to copy from by hand.
import { Dialog } from "./dialog.js";
import { show } from "./messages.js";
import { html, signal } from "./ui.js";

const byHand = signal(null);

/**
 * Copies a text and says so; returns whether it did. Browsers give pages a clipboard on https and
 * this machine alone.
 */
export async function copy(text, what) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    byHand.value = { text, what };
    return false;
  }
  show(`${what} copied.`);
  return true;
}

/** Belongs into the page once. */
export const CopyByHand = () =>
  byHand.value &&
  html`<${Dialog} title="Copy: ${byHand.value.what}" onClose=${() => (byHand.value = null)}>
    <p>This page has no clipboard at this address. Copy from here:</p>
    <textarea readonly rows="8" aria-label=${byHand.value.what} ref=${(box) => box?.select()} value=${byHand.value.text}></textarea>
  <//>`;
