// The prompt box and its settings.
import { copy } from "../copying.js";
import { announce } from "../messages.js";
import { html, useRef, useSignal } from "../ui.js";
import { link } from "./address.js";
import { retryAll, send, stopAll } from "./asking.js";
import { focusPrompt } from "./focusing.js";
import { showKeys } from "./keys.js";
import { Small } from "./small.js";
import { answersNow, clearConversation, draft, settings, turns } from "./state.js";

const MARGIN_PX = 12;

/** How soon after sending a click is the second of two, which nobody means to stop anything. */
const DOUBLE_CLICK_MS = 500;

export function Composer() {
  const form = useRef(null);
  const open = useSignal(false);
  const sentAt = useRef(-DOUBLE_CLICK_MS);
  const unasked = !turns.value.length;
  const running = answersNow().some((answer) => answer.isRunning);
  const ask = () => {
    if (running) return;
    if (!form.current.checkValidity()) {
      open.value = true;
      return;
    }
    sentAt.current = performance.now();
    send();
    requestAnimationFrame(showLastTurn);
  };
  const stop = () => {
    if (performance.now() - sentAt.current >= DOUBLE_CLICK_MS) stopAll();
    focusPrompt();
  };

  function onKeyDown(event) {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    ask();
  }

  return html`<form
    ref=${form}
    class="composer card"
    aria-label="Prompt"
    onSubmit=${(event) => {
      event.preventDefault();
      ask();
      focusPrompt();
    }}
  >
    <label for="prompt" class="visually-hidden">Prompt for every column</label>
    <div class="prompt-row">
      <textarea
        id="prompt"
        rows="1"
        placeholder="Ask every column…"
        aria-describedby="prompt-keys"
        value=${draft.value}
        onInput=${(event) => (draft.value = event.target.value)}
        onKeyDown=${onKeyDown}
      ></textarea>
      ${
        running
          ? html`<button key="stop" type="button" class="danger" onClick=${stop}>Stop all</button>`
          : html`<button key="send" type="submit" class="primary" disabled=${!draft.value.trim()}>Send</button>`
      }
    </div>
    <div class="composer-actions">
      <${Small} quiet disabled=${running || unasked} onClick=${retryAll}>Retry all<//>
      <${Small} quiet disabled=${unasked} onClick=${startAnew}
        >New<span class="long"> conversation</span><//
      >
      <button
        type="button"
        class="quiet small"
        aria-expanded=${open.value}
        aria-controls="settings"
        onClick=${() => (open.value = !open.value)}
      >
        Settings${" "}<span class="settings-now">${summary()}</span>
      </button>
      <span class="spread"></span>
      <${Small} quiet onClick=${() => copy(link(), "Link")}>Copy link<//>
      <span class="keys-button"><${Small} quiet onClick=${showKeys}>Keys <kbd>?</kbd><//></span>
    </div>
    <p id="prompt-keys" class="visually-hidden">
      Enter sends, Shift and Enter begin a new line, Escape stops.
    </p>
    <${Settings} hidden=${!open.value} />
  </form>`;
}

function summary() {
  const [temperature, most] = [settings.temperature, settings.max_tokens];
  return `temperature ${temperature.value || "default"}, up to ${most.value || "default"} tokens`;
}

/** Scrolls down to what was just asked; sideways, on a phone, the page stays at its column. */
function showLastTurn() {
  const question = document.querySelector(".turn:last-child .question");
  if (question)
    scrollBy({ top: question.getBoundingClientRect().top - MARGIN_PX, behavior: "smooth" });
}

function startAnew() {
  clearConversation();
  announce("Conversation cleared.");
  focusPrompt();
}

const Settings = ({ hidden }) =>
  html`<div id="settings" class="settings" hidden=${hidden}>
    <${NumberField} name="temperature" label="Temperature" min="0" max="2" step="0.05" />
    <${NumberField} name="max_tokens" label="Most tokens" min="1" max="9999999" step="1" />
    <${NumberField} name="seed" label="Seed" min="0" max="999999999999999" step="1" />
    <div class="field system">
      <label for="setting-system">System prompt</label>
      <textarea
        id="setting-system"
        rows="1"
        value=${settings.system.value}
        onInput=${(event) => (settings.system.value = event.target.value)}
      ></textarea>
    </div>
  </div>`;

const NumberField = ({ name, label, ...limits }) =>
  html`<div class="field">
    <label for="setting-${name}">${label}</label>
    <input
      id="setting-${name}"
      type="number"
      inputmode="decimal"
      ...${limits}
      value=${settings[name].value}
      onInput=${(event) => (settings[name].value = event.target.value)}
    />
  </div>`;
