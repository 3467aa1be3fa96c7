// Side-by-side chat: one prompt, the base and up to four variants.
import { key, requestJson } from "../api.js";
import { Problem } from "../messages.js";
import { keepQuery, query } from "../router.js";
import { effect, html, useEffect, useSignal } from "../ui.js";
import { fromQuery, toQuery } from "./address.js";
import { Bar } from "./bar.js";
import { Column } from "./column.js";
import { Composer } from "./composer.js";
import { Details } from "./details.js";
import { KeysDialog, onKey } from "./keys.js";
import { BASE, columns, showColumns } from "./state.js";

const AT_FIRST = 2;
const WRITE_AFTER_MS = 300;

export function ChatPage() {
  const profiles = useSignal([]);
  const problem = useSignal("");
  useEffect(() => {
    readAddress();
    const stop = [writesAddress(), listens("hashchange", readAddress), listens("keydown", onKey)];
    return () => stop.forEach((one) => one());
  }, []);
  useEffect(() => {
    learnProfiles(profiles, problem);
  }, [key.value]);

  return html`<h1 class="visually-hidden">Chat</h1>
    <${Bar} profiles=${profiles.value} />
    ${problem.value && html`<${Problem} text=${problem.value} />`}
    <div class="columns count-${columns.value.length}">
      ${columns.value.map(
        (column, place) => html`<${Column} key=${column.id} column=${column} place=${place} />`,
      )}
    </div>
    <${Composer} />
    <${Details} />
    <${KeysDialog} />`;
}

function listens(event, handler) {
  addEventListener(event, handler);
  return () => removeEventListener(event, handler);
}

/** Whether the columns are somebody's choice, an address's or a reader's. */
let chosen = false;

function readAddress() {
  chosen = fromQuery(query.peek()) || chosen;
  if (!columns.peek().length) showColumns([BASE]);
}

/** Keeps the address what it would take to come back here; a moment later, since browsers count. */
function writesAddress() {
  let timer = 0;
  const stop = effect(() => {
    const params = toQuery();
    clearTimeout(timer);
    timer = setTimeout(() => keepQuery("chat", params), WRITE_AFTER_MS);
  });
  return () => {
    clearTimeout(timer);
    stop();
  };
}

async function learnProfiles(profiles, problem) {
  try {
    const { data } = await requestJson("v1/unlearning/profiles");
    profiles.value = data.map((profile) => profile.id);
    problem.value = "";
    if (!chosen && columns.peek().length === 1)
      showColumns([BASE, ...profiles.value.slice(0, AT_FIRST)]);
    chosen ||= data.length > 0;
  } catch (error) {
    problem.value = `The profiles cannot be listed: ${error.message}`;
  }
}
