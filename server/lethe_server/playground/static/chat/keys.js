// The keyboard: what keys do anywhere on the page, and the dialog that lists them.
import { Dialog } from "../dialog.js";
import { ofBrowser } from "../storage.js";
import { html, signal } from "../ui.js";
import { retryAll, stopAll } from "./asking.js";
import { detailsAreShown, hideDetails } from "./details.js";
import { answersNow, MAX_COLUMNS } from "./state.js";

const SINGLE = "lethe.single-keys";

const shown = signal(false);

/** Whether keys without Alt or Ctrl do anything outside fields; speech input may want them off. */
const single = signal(ofBrowser.get(SINGLE) !== "off");

export const showKeys = () => (shown.value = true);

const KEYS = [
  ["Enter", "send the prompt to every column"],
  ["Shift + Enter", "new line in the prompt"],
  ["Escape", "close the details of a token, else stop every answer"],
  [`Alt + 1 … ${MAX_COLUMNS}`, "go to that column"],
  ["← → ↑ ↓ Home End", "in an answer: go from token to token"],
  ["/", "go to the prompt"],
  ["r", "retry every column"],
  ["?", "this list"],
];

const ALONE = {
  "/": () => document.getElementById("prompt").focus(),
  r: () => !answersNow().some((answer) => answer.isRunning) && retryAll(),
  "?": showKeys,
};

const isField = (element) => element.closest("input, textarea, select, dialog") !== null;

/** Handles a key press anywhere on the page. */
export function onKey(event) {
  if (event.isComposing) return;
  if (event.key === "Escape") return escape();
  if (event.ctrlKey || event.metaKey) return;
  const column = event.altKey && columnOf(event);
  const action = column ? () => column.focus() : aloneOf(event);
  if (!action) return;
  event.preventDefault();
  action();
}

/** The column of a digit's key; in a field none where that key types something else, as on a Mac. */
function columnOf({ code, key, target }) {
  const [, digit] = /^Digit([1-9])$/.exec(code) ?? [];
  if (!digit || (isField(target) && key !== digit)) return null;
  return document.getElementById(`column-at-${digit}`);
}

const aloneOf = (event) =>
  single.value &&
  !event.altKey &&
  !isField(event.target) &&
  Object.hasOwn(ALONE, event.key) &&
  ALONE[event.key];

function escape() {
  if (document.querySelector("dialog[open]")) return;
  if (detailsAreShown()) hideDetails();
  else stopAll();
}

function setSingle(on) {
  single.value = on;
  ofBrowser.set(SINGLE, on ? "on" : "off");
}

export const KeysDialog = () =>
  shown.value &&
  html`<${Dialog} title="Keys" onClose=${() => (shown.value = false)}>
    <dl class="keys">
      ${KEYS.map(
        ([key, what]) => html`<div key=${key}>
          <dt><kbd>${key}</kbd></dt>
          <dd>${what}</dd>
        </div>`,
      )}
    </dl>
    <label class="row">
      <input
        type="checkbox"
        checked=${single.value}
        onChange=${(event) => setSingle(event.target.checked)}
      />
      Keys that are one character work
    </label>
  <//>`;
