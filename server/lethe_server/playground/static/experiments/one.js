// One experiment, as it is at this moment.
import { key, keysGiven, ROOT } from "../api.js";
import { announce, Problem } from "../messages.js";
import { Confirm } from "../parts/confirm.js";
import { useFocusKept } from "../parts/focus.js";
import { poll } from "../parts/polling.js";
import { html, useEffect, useState } from "../ui.js";
import * as calls from "./calls.js";
import { Report } from "./report.js";
import { Status } from "./status.js";

const EVERY = 2000; // milliseconds
const LIVE = `Live: asked for every ${EVERY / 1000} s while all is well.`;

export function One({ name }) {
  const [paused, setPaused] = useState(false);
  const [state, setState] = useState({});
  useEffect(() => setState({}), [keysGiven.value]);
  useEffect(() => {
    if (paused) return undefined;
    const told = (found) => setState((before) => ({ ...found, value: found.value ?? before.value }));
    return poll((signal) => calls.report(name, signal), told, EVERY);
  }, [name, paused, keysGiven.value]);
  const { value: report, error, seconds } = state;
  return html`<div class="stack experiment">
    <p class="back"><a href="#/experiments">All experiments</a></p>
    <header class="head">
      <h1>${name}</h1>
      ${report && html`<${Status} of=${report.status} />`}
      ${report && html`<${Actions} report=${report} told=${setState} />`}
    </header>
    ${
      error &&
      html`<${Problem} text=${error.message}> ${!paused && html`<p>The page asks again in ${seconds} s.</p>`} <//>`
    }
    <p class="live">
      <button type="button" onClick=${() => setPaused(!paused)}>${paused ? "Go on" : "Pause"}</button>
      <span class="note">${paused ? "Paused: the numbers stay as they are." : LIVE}</span>
    </p>
    ${report && html`<${Report} report=${report} />`}
    ${report && report.status === "running" && html`<${HowTo} name=${name} />`}
  </div>`;
}

function Actions({ report, told }) {
  const [problem, setProblem] = useState(null);
  const [question, setQuestion] = useState(null);
  const { box, heir } = useFocusKept();
  const name = report.id;
  const trying = (act) => async () => {
    setQuestion(null);
    try {
      await act();
      setProblem(null);
    } catch (error) {
      setProblem(error.message);
    }
  };
  const stop = trying(async () => {
    const { status } = await calls.stop(name);
    told((before) => ({ ...before, value: { ...before.value, status } }));
    announce(`${name} is stopped.`);
  });
  const remove = trying(async () => {
    await calls.remove(name);
    announce(`${name} is deleted.`);
    location.hash = "#/experiments";
  });
  const save = (format) => trying(async () => saveAs(`${name}.${format}`, await calls.records(name, format)));
  const dismiss = () => setQuestion(null);
  return html`<div class="buttons" ref=${box}>
      <button type="button" ref=${heir} onClick=${save("csv")}>Save as CSV</button>
      <button type="button" onClick=${save("jsonl")}>Save as JSON lines</button>
      ${report.status === "running" && html`<button type="button" onClick=${() => setQuestion("stop")}>Stop</button>`}
      <button type="button" class="danger" onClick=${() => setQuestion("delete")}>Delete</button>
    </div>
    ${problem && html`<${Problem} text=${problem} />`}
    ${
      question === "stop" &&
      html`<${Confirm} title=${`Stop ${name}?`} action="Stop it" onYes=${stop} onNo=${dismiss}>
        <p>
          No request takes part from then on, and it cannot be started again. Outcomes and the report stay possible.
        </p>
      <//>`
    }
    ${
      question === "delete" &&
      html`<${Confirm} title=${`Delete ${name}?`} action="Delete it for good" danger onYes=${remove} onNo=${dismiss}>
        <p>All its exposures and outcomes go with it. This cannot be undone: save the records first.</p>
      <//>`
    }`;
}

function saveAs(file, blob) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = file;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

const at = (path) => new URL(path, ROOT).href;

/** A line of a command that sends a key, where the page itself has to; as the chat writes it. */
const withKey = () => (key.value ? '\n  -H "Authorization: Bearer $LETHE_KEY" \\' : "");

const HowTo = ({ name }) =>
  html`<details class="card">
    <summary>How requests take part</summary>
    <p>They name the experiment in a header, and say who asks in <code>user</code>:</p>
    <pre tabindex="0"><code>curl ${at("v1/chat/completions")} -H 'X-Unlearning-Experiment: ${name}' \\${withKey()}
  -H 'Content-Type: application/json' \\
  -d '{"model": "MODEL", "user": "u-17", "messages": [{"role": "user", "content": "Hello"}]}'</code></pre>
    <p>What came of it is told afterwards:</p>
    <pre
      tabindex="0"
    ><code>curl ${at(`v1/unlearning/experiments/${name}/outcomes`)} -H 'Content-Type: application/json' \\${withKey()}
  -d '[{"unit": "u-17", "metric": "resolved", "value": true}]'</code></pre>
  </details>`;
