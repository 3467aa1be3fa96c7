// One profile: what it is, what was measured of it, what its name meant before.
import { keysGiven } from "../api.js";
import { announce, Problem } from "../messages.js";
import { Confirm } from "../parts/confirm.js";
import { Digest } from "../parts/digest.js";
import { useFocusKept } from "../parts/focus.js";
import { useLatest } from "../parts/latest.js";
import { bytes, plural, time } from "../parts/text.js";
import { html, useEffect, useState } from "../ui.js";
import * as calls from "./calls.js";
import { Evidence } from "./evidence.js";
import { Facts } from "./facts.js";
import { Labels } from "./labels.js";
import { Marks } from "./marks.js";
import { bySort } from "./sites.js";
import { Versions } from "./versions.js";

export function One({ name }) {
  const [state, setState] = useState({});
  const { box, heir } = useFocusKept();
  const latest = useLatest();
  const load = () => latest(everything(name), setState);
  useEffect(() => {
    load();
  }, [name, keysGiven.value]);
  const { profile, versions, error, hidden, deleted } = state;
  return html`<div class="stack profile" ref=${box}>
    <p class="back"><a href="#/profiles">All profiles</a></p>
    <header class="head">
      <h1>${name}</h1>
      ${profile && html`<${Marks} profile=${profile} />`}
      ${profile && html`<${Actions} profile=${profile} load=${load} />`}
    </header>
    ${error && html`<${Problem} text=${error} />`}
    ${deleted && html`<${Gone} notice=${heir} />`}
    ${profile && html`<${Summary} profile=${profile} /><${Evidence} profile=${profile} />`}
    ${profile && html`<${Origin} profile=${profile} /><${Labels} profile=${profile} load=${load} />`}
    ${versions && html`<${Versions} name=${name} versions=${versions} profile=${profile} load=${load} />`}
    ${hidden && html`<p class="note">Its versions are not shown: ${hidden}</p>`}
  </div>`;
}

const Gone = ({ notice }) =>
  html`<p class="gone" ref=${notice} tabindex="-1">
    This name was deleted. Roll back to a version below, and it is as it was.
  </p>`;

/** A name that was deleted has versions, and no profile; some keys may see a profile alone. */
async function everything(name) {
  const [versions] = await Promise.allSettled([calls.versions(name)]);
  if (versions.value?.[0].digest === null) return { versions: versions.value, deleted: true };
  const [profile] = await Promise.allSettled([calls.get(name)]);
  return {
    profile: profile.value,
    versions: versions.value,
    error: profile.reason?.message,
    hidden: profile.value && versions.reason?.message,
  };
}

function Actions({ profile, load }) {
  const [problem, setProblem] = useState(null);
  const [deleting, setDeleting] = useState(false);
  const name = profile.id;
  const act = async (call, said) => {
    setProblem(null);
    try {
      await call();
      announce(said);
    } catch (error) {
      setProblem(error.message);
    }
    await load();
  };
  const pin = () =>
    act(
      () => calls.mark(name, { pinned: !profile.pinned }),
      profile.pinned ? `${name} may be changed.` : `${name} is pinned.`,
    );
  const remove = () => {
    setDeleting(false);
    act(() => calls.remove(name), `${name} is deleted.`);
  };
  return html`<div class="buttons">
      <a class="button" href=${`#/chat?columns=base,${name}`}>Compare in chat</a>
      <button type="button" onClick=${pin}>${profile.pinned ? "Unpin" : "Pin"}</button>
      <button type="button" class="danger" onClick=${() => setDeleting(true)}>Delete</button>
    </div>
    ${problem && html`<${Problem} text=${problem} />`}
    ${
      deleting &&
      html`<${Confirm}
        title=${`Delete ${name}?`}
        action="Delete"
        danger
        onYes=${remove}
        onNo=${() => setDeleting(false)}
      >
        <p>New requests that name it get an error at once; requests in flight finish on it.</p>
        <p>Its history stays: a rollback, here or with <code>lethe profiles rollback ${name}</code>, undoes it.</p>
      <//>`
    }`;
}

const SCOPES = {
  all: "every token",
  prompt: "the prompt",
  generated: "the answer",
  last_prompt_token: "the prompt's last token",
};

const Summary = ({ profile }) =>
  html`<section class="card summary" aria-labelledby="summary-title">
    <h2 id="summary-title">What it is</h2>
    <dl class="profile-facts">
      <div>
        <dt>digest</dt>
        <dd><${Digest} value=${profile.digest} /></dd>
      </div>
      <div>
        <dt>method</dt>
        <dd>${profile.method}</dd>
      </div>
      <div>
        <dt>edits</dt>
        <dd>${profile.scopes.map((one) => SCOPES[one] ?? one).join(", ")}${profile.gated && ", through a gate"}</dd>
      </div>
      <div>
        <dt>rank</dt>
        <dd>${profile.rank}, the largest of a site</dd>
      </div>
      <div>
        <dt>size</dt>
        <dd>${bytes(profile.bytes)}</dd>
      </div>
      <div>
        <dt>version</dt>
        <dd>${profile.version}, of ${time(profile.modified)}</dd>
      </div>
      <div>
        <dt>resident</dt>
        <dd>${profile.resident ? "on every rank of the engine" : "with its first request"}</dd>
      </div>
      <div>
        <dt>served</dt>
        <dd>${plural(profile.requests_served, "request")} by this server process</dd>
      </div>
    </dl>
    <div class="sites-box">
      <table>
        <caption class="visually-hidden">
          ${plural(profile.sites.length, "site")}
        </caption>
        <thead>
          <tr>
            <th scope="col">Edits at</th>
            <th scope="col">Layers</th>
          </tr>
        </thead>
        <tbody>
          ${bySort(profile.sites).map(
            ([hook, layers]) =>
              html`<tr key=${hook}>
                <th scope="row"><code>${hook}</code></th>
                <td>${layers}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
  </section>`;

const Origin = ({ profile }) =>
  html`<section class="card" aria-labelledby="origin-title">
    <h2 id="origin-title">Where it comes from</h2>
    <div class="beside">
      <div>
        <h3>How it was fitted</h3>
        <${Facts} of=${{ method: profile.method, ...profile.hyperparameters }} />
      </div>
      <div>
        <h3>Provenance</h3>
        <${Facts} of=${profile.provenance} />
      </div>
      <div>
        <h3>Base model</h3>
        <${Facts} of=${{ ...profile.base, served_in: profile.engine }} />
      </div>
    </div>
  </section>`;
