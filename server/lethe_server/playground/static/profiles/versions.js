// Everything that a name ever meant, and the way back.
import { announce, Problem } from "../messages.js";
import { Confirm } from "../parts/confirm.js";
import { Digest } from "../parts/digest.js";
import { useFocusKept } from "../parts/focus.js";
import { heads } from "../parts/heads.js";
import { short, time } from "../parts/text.js";
import { html, useState } from "../ui.js";
import * as calls from "./calls.js";

const ACTIONS = { put: "uploaded", rollback: "rolled back", delete: "deleted", file: "file in the folder" };

export function Versions({ name, versions, profile, load }) {
  const [wanted, setWanted] = useState(null);
  const [problem, setProblem] = useState(null);
  const { box, heir } = useFocusKept();
  const current = profile?.digest;
  const rollBack = async () => {
    setWanted(null);
    try {
      const found = await calls.rollBack(name, wanted.version);
      setProblem(null);
      announce(`${name} serves ${short(found.digest)} again.`);
    } catch (error) {
      setProblem(error.message);
    }
    await load();
  };
  return html`<section class="card" ref=${box} aria-labelledby="versions-title">
    <h2 id="versions-title" ref=${heir} tabindex="-1">Versions</h2>
    ${problem && html`<${Problem} text=${problem} />`}
    <div class="table-scroll" role="group" tabindex="0" aria-labelledby="versions-title">
      <table class="list versions">
        <thead>
          <tr>
            ${heads(["Version", "When", "What", "Digest", "By", "From"])}
            <td></td>
          </tr>
        </thead>
        <tbody>
          ${versions.map((one) => html`<${Row} key=${one.version} one=${one} current=${current} want=${setWanted} />`)}
        </tbody>
      </table>
    </div>
    ${wanted && html`<${Question} ...${{ name, wanted, current, onYes: rollBack, onNo: () => setWanted(null) }} />`}
  </section>`;
}

const Row = ({ one, current, want }) =>
  html`<tr class=${one.current ? "current" : ""}>
    <th scope="row">${one.version}</th>
    <td data-title="When">${time(one.created)}</td>
    <td data-title="What">
      <span>${ACTIONS[one.action] ?? one.action}${one.current && html` <span class="badge good">now</span>`}</span>
    </td>
    <td data-title="Digest">${one.digest ? html`<${Digest} value=${one.digest} />` : "–"}</td>
    <td data-title="By">${one.author || "–"}</td>
    <td data-title="From">${one.source || "–"}</td>
    <td>
      ${
        one.digest &&
        one.digest !== current &&
        html`<button type="button" onClick=${() => want(one)}>
          Roll back<span class="visually-hidden"> to version ${one.version}</span>
        </button>`
      }
    </td>
  </tr>`;

const Question = ({ name, wanted, current, onYes, onNo }) =>
  html`<${Confirm}
    title=${`Roll ${name} back?`}
    action=${`Roll back to version ${wanted.version}`}
    onYes=${onYes}
    onNo=${onNo}
  >
    <dl class="pairs">
      <dt>It means now</dt>
      <dd>${current ? html`<code>${short(current)}</code>` : "nothing: it was deleted"}</dd>
      <dt>It will mean</dt>
      <dd><code>${short(wanted.digest)}</code>, version ${wanted.version}, of ${time(wanted.created)}</dd>
    </dl>
    <p>Requests in flight finish on what they began with.</p>
  <//>`;
