// Above the columns: which there are, and how answers are shown.
import { announce } from "../messages.js";
import { html, useRef, useSignal } from "../ui.js";
import { LEGENDS } from "./format.js";
import { addColumn, BASE, columns, MAX_COLUMNS, view, whyNot } from "./state.js";

/** @param profiles names that the server lists. */
export const Bar = ({ profiles }) =>
  html`<div class="bar">
    <${Adding} profiles=${profiles} />
    <${Choice}
      field=${view.shade}
      label="Shade tokens by"
      options=${{ none: "nothing", probability: "probability", divergence: "divergence from base" }}
    />
    <${Choice}
      field=${view.differences}
      label="Differences"
      options=${{ none: "not marked", marked: "marked", missing: "marked, with what is missing" }}
    />
    <${Legend} />
  </div>`;

function Adding({ profiles }) {
  const field = useRef(null);
  const problem = useSignal("");
  const full = columns.value.length >= MAX_COLUMNS;

  function add(event) {
    event.preventDefault();
    const selection = field.current.value.trim();
    problem.value = whyNot(selection);
    if (problem.value) return;
    addColumn(selection);
    field.current.value = "";
    announce(`Column ${selection} added.`);
  }

  const left = [BASE, ...profiles].filter(
    (name) => !columns.value.some((column) => column.selection === name),
  );
  return html`<form class="adding" onSubmit=${add}>
    <div class="field">
      <label for="add-column">Add a column</label>
      <div class="row">
        <input
          id="add-column"
          ref=${field}
          list="selections"
          autocomplete="off"
          autocapitalize="none"
          spellcheck=${false}
          placeholder=${full ? "five are the most" : "name, a+b, name@digest"}
          disabled=${full}
          aria-invalid=${problem.value !== ""}
          aria-describedby="add-problem"
          onInput=${() => (problem.value = "")}
        />
        <datalist id="selections">
          ${left.map((name) => html`<option key=${name} value=${name} />`)}
        </datalist>
        <button type="submit" disabled=${full}>Add</button>
      </div>
    </div>
    <p id="add-problem" class="field-problem" role="alert">${problem.value}</p>
  </form>`;
}

const Choice = ({ field, label, options }) => {
  const id = `choice-${label.replaceAll(" ", "-")}`;
  return html`<div class="field">
    <label for=${id}>${label}</label>
    <select id=${id} value=${field.value} onChange=${(event) => (field.value = event.target.value)}>
      ${Object.entries(options).map(
        ([value, text]) => html`<option key=${value} value=${value}>${text}</option>`,
      )}
    </select>
  </div>`;
};

const Legend = () => {
  const kind = view.shade.value;
  if (kind === "none") return null;
  return html`<ul class="legend" aria-label="What the shades mean">
    ${LEGENDS[kind].map(
      (text, step) =>
        html`<li key=${step}>
          <span class="token ${kind}-${step}" aria-hidden="true">token</span> ${text}
        </li>`,
    )}
  </ul>`;
};
