// One column: a profile, its conversation, and what can be done with it.
import { copy } from "../copying.js";
import { Dialog } from "../dialog.js";
import { announce, Problem } from "../messages.js";
import { html, useSignal } from "../ui.js";
import { ask } from "./asking.js";
import { curlOf } from "./curl.js";
import { focusPrompt } from "./focusing.js";
import { nats, seconds } from "./format.js";
import { Small } from "./small.js";
import { BASE, columns, removeColumn, turns } from "./state.js";
import { TokenTable } from "./table.js";
import { AnswerText } from "./text.js";

export function Column({ column, place }) {
  const answers = column.answers.value;
  const last = turns.value.at(-1);
  const now = last && answers[last.id];
  const busy = now?.isRunning ?? false;
  const id = `column-${column.id}`;
  return html`<section
    class="column card"
    id="column-at-${place + 1}"
    tabindex="-1"
    aria-labelledby=${id}
    aria-busy=${busy}
    style=${{ gridRow: `span ${1 + Math.max(1, turns.value.length)}` }}
  >
    <header class="column-head">
      <div class="column-name">
        <h2 id=${id}>${column.selection}</h2>
        <${Remark} column=${column} place=${place} answer=${now} />
      </div>
      ${columns.value.length > 1 && html`<${Remove} column=${column} />`}
    </header>
    ${
      last
        ? html`<ol class="conversation" aria-label="Conversation with ${column.selection}">
          ${turns.value.map((turn) => html`<${Turn} key=${turn.id} turn=${turn} column=${column} />`)}
        </ol>`
        : html`<p class="note empty">Answers of ${column.selection} come here.</p>`
    }
  </section>`;
}

const Remove = ({ column }) =>
  html`<${Small}
    quiet
    label="Remove the column ${column.selection}"
    onClick=${() => {
      removeColumn(column);
      announce(`Column ${column.selection} removed.`);
      focusPrompt();
    }}
    >✕<//
  >`;

/** Which version answered, or what the column is for. */
function Remark({ column, place, answer }) {
  answer?.version.value;
  const [, digest] = (answer?.servedBy ?? "").split("@");
  const first = place === 0 && columns.value.length > 1;
  return html`<p class="remark">
    ${
      digest
        ? html`<span class="badge mono" title="The digest of the profile that answered">@${digest}</span>`
        : html`<span class="badge">
            ${column.selection === BASE ? "unmodified model" : "profile"}
          </span>`
    }
    ${first && html`<span class="badge">reference</span>`}
  </p>`;
}

function Turn({ turn, column }) {
  const answer = column.answers.value[turn.id];
  if (!answer) return html`<${NotAsked} turn=${turn} column=${column} />`;
  const first = columns.value[0];
  const reference = first === column ? null : (first.answers.value[turn.id] ?? null);
  return html`<li class="turn">
    <p class="question"><span class="visually-hidden">You: </span>${turn.prompt}</p>
    <${AnswerText} answer=${answer} reference=${reference} />
    <${Outcome} answer=${answer} />
    <${Actions} answer=${answer} column=${column} turn=${turn} />
  </li>`;
}

/** A turn from before there was this column. */
const NotAsked = ({ turn, column }) =>
  html`<li class="turn">
    ${
      turn === turns.value.at(-1)
        ? html`<${Small} onClick=${() => ask(column, turn)}>Ask ${column.selection} this too<//>`
        : html`<p class="note">Not asked here.</p>`
    }
  </li>`;

function Outcome({ answer }) {
  answer.version.value;
  const state = answer.state.value;
  if (state === "failed") return html`<${Problem} text=${answer.error} />`;
  return html`<dl class="facts">
      <${Fact} name=${answer.isRunning ? "Now" : "Ended"} value=${STATES[state] ?? answer.finishReason} />
      <${Fact} name="Tokens" value=${answer.count || null} />
      <${Fact} name="First after" value=${answer.firstAfter && seconds(answer.firstAfter)} />
      <${Fact} name="Speed" value=${speed(answer)} />
      <${Fact} name="Mean KL from base, at least" value=${meanKl(answer)} />
    </dl>
    ${answer.divergenceNote && html`<p class="note">${answer.divergenceNote}</p>`}`;
}

const STATES = { waiting: "waiting…", streaming: "answering…", stopped: "stopped by you" };

const Fact = ({ name, value }) => value && html`<div><dt>${name}</dt><dd>${value}</dd></div>`;

function speed({ count, firstAfter, lastAfter }) {
  return count > 1 && lastAfter > firstAfter
    ? `${((1000 * (count - 1)) / (lastAfter - firstAfter)).toFixed(1)} tokens/s`
    : null;
}

const meanKl = ({ divergence }) =>
  divergence && nats(divergence.reduce((sum, one) => sum + one, 0) / divergence.length);

function Actions({ answer, column, turn }) {
  const curl = useSignal(false);
  const table = useSignal(false);
  const name = column.selection;
  const [stop, retry] = [() => answer.stop(), () => ask(column, turn)];
  if (answer.isRunning) {
    return html`<div class="row actions"><${Small} label="Stop ${name}" onClick=${stop}>Stop<//></div>`;
  }
  const isLast = turn === turns.value.at(-1);
  const copied = () => copy(answer.text, `Answer of ${name}`);
  const [tabled, shown] = [() => (table.value = !table.value), () => (curl.value = true)];
  return html`<div class="row actions">
      ${isLast && html`<${Small} label="Retry ${name}" onClick=${retry}>Retry<//>`}
      ${answer.text && html`<${Small} label="Copy the answer of ${name}" onClick=${copied}>Copy<//>`}
      ${
        answer.tokens.length > 0 &&
        html`<${Small}
          label="Table of tokens of ${name}"
          aria-expanded=${table.value}
          onClick=${tabled}
          >Tokens<//
        >`
      }
      <${Small} label="The request to ${name} as curl" onClick=${shown}>curl<//>
    </div>
    ${table.value && html`<${TokenTable} answer=${answer} />`}
    ${curl.value && html`<${Curl} request=${answer.request} onClose=${() => (curl.value = false)} />`}`;
}

function Curl({ request, onClose }) {
  const command = curlOf(request);
  return html`<${Dialog} title="The same request with curl" onClose=${onClose}>
    <pre tabindex="0">${command}</pre>
    <button type="button" class="primary" onClick=${() => copy(command, "Command")}>Copy</button>
  <//>`;
}
