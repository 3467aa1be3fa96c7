// Side-by-side chat: one prompt, the base and up to four variants.
import { key, requestJson } from "../api.js";
import { Problem } from "../messages.js";
import { keepQuery, page, query } from "../router.js";
import { effect, html, useEffect, useSignal } from "../ui.js";
import { fromQuery, toQuery } from "./address.js";
import { Bar } from "./bar.js";
import { Column } from "./column.js";
import { Composer } from "./composer.js";
import { Details } from "./details.js";
import { told } from "./engine.js";
import { KeysDialog, onKey } from "./keys.js";
import { BASE, columns, showColumns } from "./state.js";

const AT_FIRST = 2;
const WRITE_AFTER_MS = 300;

export function ChatPage() {
  const profiles = useSignal([]);
  const problem = useSignal("");
  useEffect(() => {
    readAddress();
    const stop = [followsAddress(), listens("keydown", onKey)];
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
  if (page.peek() !== "chat") return;
  chosen = fromQuery(query.peek()) || chosen;
  if (!columns.peek().length) showColumns([BASE]);
}

/**
 * Reads the address when somebody changes it, and keeps it what it would take to come back here; a
 * moment later, since browsers count.
 */
function followsAddress() {
  let timer = 0;
  const write = (params) => {
    clearTimeout(timer);
    timer = setTimeout(() => keepQuery("chat", params), WRITE_AFTER_MS);
  };
  const follow = () => {
    readAddress();
    write(toQuery());
  };
  const stop = [effect(() => write(toQuery())), listens("hashchange", follow)];
  return () => {
    clearTimeout(timer);
    stop.forEach((one) => one());
  };
}

async function learnProfiles(profiles, problem) {
  try {
    const { data, logprobs } = await requestJson("v1/unlearning/profiles");
    told.value = logprobs;
    profiles.value = data.map((profile) => profile.id);
    problem.value = "";
    if (!chosen && columns.peek().length === 1)
      showColumns([BASE, ...profiles.value.slice(0, AT_FIRST)]);
    chosen ||= data.length > 0;
  } catch (error) {
    problem.value = `The profiles cannot be listed: ${error.message}`;
  }
}
