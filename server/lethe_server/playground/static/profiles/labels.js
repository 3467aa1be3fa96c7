// An operator's own names and values for a profile.
import { announce, Problem } from "../messages.js";
import { useFocusKept } from "../parts/focus.js";
import { html, useEffect, useRef, useState } from "../ui.js";
import * as calls from "./calls.js";

let count = 0;
const row = ([name, value]) => ({ key: (count += 1), name, value });
const rowsOf = (labels) => Object.entries(labels).map(row);

export function Labels({ profile, load }) {
  const [rows, setRows] = useState(() => rowsOf(profile.labels));
  const [problem, setProblem] = useState(null);
  const last = useRef(null);
  const { box, heir } = useFocusKept();
  const known = JSON.stringify(profile.labels);
  useEffect(() => setRows(rowsOf(profile.labels)), [known]);

  const change = (key, changes) => setRows(rows.map((one) => (one.key === key ? { ...one, ...changes } : one)));
  const add = () => {
    setRows([...rows, row(["", ""])]);
    requestAnimationFrame(() => last.current?.focus());
  };
  const nothingNew = JSON.stringify(Object.fromEntries(rows.map(pair))) === known;
  const save = async (event) => {
    event.preventDefault();
    if (nothingNew) return;
    try {
      await calls.mark(profile.id, { labels: labelsOf(rows) });
      setProblem(null);
      announce("The labels are saved.");
      await load();
    } catch (error) {
      setProblem(error.message);
    }
  };
  return html`<section class="card" aria-labelledby="labels-title">
    <h2 id="labels-title">Labels</h2>
    <form class="labels" ref=${box} onSubmit=${save}>
      ${!rows.length && html`<p class="note">It has none.</p>`}
      ${rows.map(
        ({ key, name, value }, at) =>
          html`<div key=${key} class="label-row">
            <label>
              <span>Name</span>
              <input
                ref=${at === rows.length - 1 ? last : null}
                required
                maxlength="64"
                value=${name}
                onInput=${(event) => change(key, { name: event.target.value })}
              />
            </label>
            <label>
              <span>Value</span>
              <input maxlength="256" value=${value} onInput=${(event) => change(key, { value: event.target.value })} />
            </label>
            <button
              type="button"
              class="quiet"
              aria-label=${`Remove the label ${name}`}
              onClick=${() => setRows(rows.filter((one) => one.key !== key))}
            >
              ✕
            </button>
          </div>`,
      )}
      <div class="buttons">
        <button type="button" ref=${heir} onClick=${add}>Add a label</button>
        <button class="primary" aria-disabled=${nothingNew}>Save labels</button>
      </div>
    </form>
    ${problem && html`<${Problem} text=${problem} />`}
  </section>`;
}

const pair = ({ name, value }) => [name, value];

function labelsOf(rows) {
  const names = rows.map(({ name }) => name);
  const twice = names.find((name, at) => names.indexOf(name) !== at);
  if (twice !== undefined) throw new Error(`labels: expected each name once, found ${twice} twice; rename one`);
  return Object.fromEntries(rows.map(pair));
}
