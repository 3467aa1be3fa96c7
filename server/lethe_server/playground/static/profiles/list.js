// Every profile that the key may see.
import { Problem } from "../messages.js";
import { Digest } from "../parts/digest.js";
import { heads } from "../parts/heads.js";
import { useRows } from "../parts/latest.js";
import { bytes, plural, time } from "../parts/text.js";
import { html, useState } from "../ui.js";
import { Badge, useEvidence } from "./badge.js";
import * as calls from "./calls.js";
import { Drop } from "./drop.js";
import { Marks } from "./marks.js";
import { inShort } from "./sites.js";
import { arrived } from "./uploads.js";

const AT_ONCE = 50; // rows; of each that is shown its evidence is asked for

export function List() {
  const names = arrived.value;
  const { rows, problem, load } = useRows(calls.list, [names]);
  return html`<div class="stack profiles">
    <header class="head">
      <h1>Profiles</h1>
      <button type="button" class="quiet" onClick=${load}>Refresh</button>
    </header>
    <${Drop} />
    ${problem && html`<${Problem} text=${problem} />`} ${rows && html`<${Found} profiles=${rows} fresh=${names} />`}
  </div>`;
}

const text = (profile) =>
  [profile.id, profile.digest, profile.method, ...profile.sites, ...Object.entries(profile.labels)]
    .flat()
    .join(" ")
    .toLowerCase();

const holds = (profile, words) => words.every((word) => text(profile).includes(word));

function Found({ profiles, fresh }) {
  const [filter, setFilter] = useState("");
  const [shown, setShown] = useState(AT_ONCE);
  const words = filter.toLowerCase().split(/\s+/).filter(Boolean);
  const found = profiles.filter((profile) => holds(profile, words));
  if (!profiles.length) {
    return html`<p class="note">There are none yet. Fit one with <code>lethe fit</code>, and upload it here.</p>`;
  }
  return html`<div class="filter">
      <label>
        Find by name, digest, method, site or label
        <input type="search" value=${filter} onInput=${(event) => setFilter(event.target.value)} />
      </label>
      <span role="status"> ${words.length ? `${found.length} of ` : ""}${plural(profiles.length, "profile")} </span>
    </div>
    <${Table} profiles=${found.slice(0, shown)} fresh=${fresh} />
    ${
      found.length > shown &&
      html`<button type="button" onClick=${() => setShown(shown + AT_ONCE)}>
        Show ${Math.min(AT_ONCE, found.length - shown)} more
      </button>`
    }`;
}

const COLUMNS = ["Evidence", "Digest", "Method", "Edits at", "Rank", "Size", "Version", "Changed"];

const Table = ({ profiles, fresh }) =>
  html`<div class="card list-box table-scroll" role="group" tabindex="0" aria-label="Profiles">
    <table class="list">
      <thead>
        <tr>
          ${heads(["Name", ...COLUMNS])}
        </tr>
      </thead>
      <tbody>
        ${profiles.map(
          (profile) => html`<${Row} key=${profile.id} profile=${profile} fresh=${fresh.includes(profile.id)} />`,
        )}
      </tbody>
    </table>
  </div>`;

function Row({ profile, fresh }) {
  const evidence = useEvidence(profile);
  const cells = [
    html`<${Badge} evidence=${evidence} />`,
    html`<${Digest} value=${profile.digest} />`,
    profile.method,
    inShort(profile.sites),
    profile.rank,
    bytes(profile.bytes),
    profile.version,
    time(profile.modified),
  ];
  return html`<tr class=${fresh ? "fresh" : ""}>
    <th scope="row">
      <a href="#/profiles/${profile.id}">${profile.id}</a>
      <${Marks} profile=${profile} />
    </th>
    ${cells.map((cell, at) => html`<td key=${COLUMNS[at]} data-title=${COLUMNS[at]}>${cell}</td>`)}
  </tr>`;
}
