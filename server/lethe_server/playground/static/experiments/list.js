// Every experiment, and the way to another.
import { Problem } from "../messages.js";
import { heads } from "../parts/heads.js";
import { useRows } from "../parts/latest.js";
import { plural, time } from "../parts/text.js";
import { html } from "../ui.js";
import * as calls from "./calls.js";
import { Create } from "./create.js";
import { Status } from "./status.js";

export function List() {
  const { rows, problem } = useRows(calls.list);
  return html`<div class="stack experiments">
    <h1>Experiments</h1>
    <p class="lead">
      An experiment compares variants on live traffic: each unit, a user or a session, gets one arm, and each arm is
      served by one profile or by the base.
    </p>
    ${problem && html`<${Problem} text=${problem} />`} ${rows && html`<${Found} experiments=${rows} />`}
    <${Create} />
  </div>`;
}

function Found({ experiments }) {
  if (!experiments.length) return html`<p class="note">There are none yet.</p>`;
  return html`<div class="card list-box table-scroll" role="group" tabindex="0" aria-label="Experiments">
    <table class="list">
      <thead>
        <tr>
          ${heads(["Name", "Status", "Arms", "Control", "Began", "Ended"])}
        </tr>
      </thead>
      <tbody>
        ${experiments.map((one) => html`<${Row} key=${one.id} one=${one} />`)}
      </tbody>
    </table>
  </div>`;
}

const Row = ({ one }) =>
  html`<tr>
    <th scope="row"><a href="#/experiments/${one.id}">${one.id}</a></th>
    <td data-title="Status"><${Status} of=${one.status} /></td>
    <td data-title="Arms">${plural(one.arms.length, "arm")}: ${one.arms.map((arm) => arm.profile).join(", ")}</td>
    <td data-title="Control">${one.control}</td>
    <td data-title="Began">${time(one.created)}</td>
    <td data-title="Ended">${one.stopped ? time(one.stopped) : "–"}</td>
  </tr>`;
