// The field of the API key: in the header, and open where the server asks for one.
import { announce } from "./messages.js";
import { key, keyWanted, setKey } from "./api.js";
import { computed, html, signal, useEffect, useRef } from "./ui.js";

const open = signal(false);
const shown = computed(() => open.value || keyWanted.value !== "");

function toggle() {
  open.value = !shown.value;
  keyWanted.value = "";
}

export const KeyButton = () =>
  html`<button
    type="button"
    id="key-button"
    class="quiet"
    aria-expanded=${shown.value}
    aria-controls="key-form"
    onClick=${toggle}
  >
    <span aria-hidden="true">${key.value ? "●" : "○"}</span> API key<span class="visually-hidden"
      >${key.value ? ", one is kept for this tab" : ", none"}</span
    >
  </button>`;

export function KeyForm() {
  const field = useRef(null);
  useEffect(() => {
    if (open.value) field.current?.focus();
  }, [open.value]);

  function save(event) {
    event.preventDefault();
    setKey(field.current.value.trim());
    open.value = false;
    document.getElementById("key-button").focus();
    announce(key.value ? "Key kept for this tab." : "Key removed.");
  }

  return html`<form id="key-form" class="key-form" hidden=${!shown.value} onSubmit=${save} autocomplete="off">
      ${keyWanted.value && html`<p role="alert" class="key-wanted">${keyWanted.value}</p>`}
      <label for="key-input">API key</label>
      <input
        id="key-input"
        ref=${field}
        type="password"
        autocomplete="off"
        spellcheck=${false}
        defaultValue=${key.value}
        aria-describedby="key-note"
      />
      <button type="submit" class="primary">Use key</button>
      <p id="key-note" class="note">Kept in this tab until it is closed, sent to this server alone.</p>
    </form>`;
}
