// Where files are dropped or picked, and what becomes of each.
import { held, useDrops } from "../dropping.js";
import { Problem } from "../messages.js";
import { Confirm } from "../parts/confirm.js";
import { useFocusKept } from "../parts/focus.js";
import { NameField } from "../parts/name_field.js";
import { bytes, seconds, short } from "../parts/text.js";
import { html, useRef, useState } from "../ui.js";
import * as uploads from "./uploads.js";

export function Drop() {
  useDrops(uploads.addFiles);
  const jobs = uploads.jobs.value;
  const ready = uploads.ready();
  const inTurn = uploads.inTurn.value;
  const { box, heir } = useFocusKept();
  return html`<section class="card drop" ref=${box} aria-labelledby="drop-title">
    <h2 id="drop-title">Upload</h2>
    <${Zone} button=${heir} />
    ${
      jobs.length > 0 &&
      html`<ul class="jobs">
        ${jobs.map((job) => html`<${Job} job=${job} key=${job.key} />`)}
      </ul>`
    }
    ${
      (inTurn || ready.length > 1) &&
      html`<p>
        <button type="button" class="primary" aria-disabled=${inTurn} onClick=${uploads.startAll}>
          ${inTurn ? "Uploading all …" : `Upload all ${ready.length}`}
        </button>
      </p>`
    }
    <${Elsewhere} />
    <${Replacing} job=${jobs.find((job) => job.state === "asking")} />
  </section>`;
}

function Zone({ button }) {
  const picker = useRef(null);
  const picked = (event) => {
    uploads.addFiles(event.target.files);
    event.target.value = "";
  };
  return html`<div class=${held.value ? "zone over" : "zone"}>
    <p>Drop <code>.safetensors</code> files anywhere on this page, or</p>
    <button type="button" ref=${button} onClick=${() => picker.current.click()}>Choose files</button>
    <input
      ref=${picker}
      type="file"
      multiple
      hidden
      accept=".safetensors"
      aria-label="Profiles to upload"
      onChange=${picked}
    />
  </div>`;
}

const WORKING = new Set(["checking", "asking", "sending", "loading"]);

function Job({ job }) {
  const { box, heir } = useFocusKept();
  const busy = WORKING.has(job.state);
  const from = job.file ? `${job.file.name}, ${bytes(job.file.size)}` : job.source;
  const submitted = (event) => {
    event.preventDefault();
    uploads.start(job.key);
  };
  if (job.state === "done") return html`<${Done} job=${job} from=${from} box=${box} link=${heir} />`;
  return html`<li class="job ${job.state}" ref=${box}>
    <form onSubmit=${submitted}>
      <span class="from">${from}</span>
      <${NameField} value=${job.name} readonly=${busy} onChange=${(name) => uploads.change(job.key, { name })} />
      <span class="buttons">
        <button class="primary" ref=${heir} aria-disabled=${busy}>
          ${job.state === "failed" ? "Try again" : "Upload"}
        </button>
        ${
          !busy &&
          html`<button type="button" class="quiet" onClick=${() => uploads.remove(job.key)}>
            Remove <span class="visually-hidden">${from}</span>
          </button>`
        }
        ${
          job.state === "sending" &&
          html`<button type="button" onClick=${() => uploads.cancel(job.key)}>Cancel</button>`
        }
      </span>
    </form>
    ${busy && html`<${Progress} job=${job} />`} ${job.error && html`<${Problem} text=${job.error} />`}
  </li>`;
}

const Done = ({ job, from, box, link }) =>
  html`<li class="job done" ref=${box}>
    <p>
      <strong>✓ <a ref=${link} href="#/profiles/${job.name}">${job.name}</a></strong> serves${" "}
      <code>${short(job.digest)}</code>, from ${from}.
    </p>
    <button type="button" class="quiet" onClick=${() => uploads.remove(job.key)}>
      Hide <span class="visually-hidden">${job.name}</span>
    </button>
  </li>`;

const SAYS = {
  checking: () => "Looking at what the name means now …",
  asking: () => "Waiting for your answer …",
  loading: () => "The server checks it and loads it on every rank …",
  sending: ({ sent, total, seconds: left }) =>
    `${bytes(sent)} of ${bytes(total)}${left === null ? "" : `, about ${seconds(left)} left`}`,
};

function Progress({ job }) {
  const known = job.state === "sending" ? { value: job.sent, max: job.total } : {};
  return html`<div class="progress">
    <progress ...${known} aria-label=${`Upload of ${job.name}`}></progress>
    <span>${SAYS[job.state](job)}</span>
  </div>`;
}

function Replacing({ job }) {
  if (!job) return null;
  const { name, before, current, digest, key } = job;
  const same = digest === current;
  return html`<${Confirm}
    key=${key}
    title=${`Replace ${name}?`}
    action=${same ? "Upload it again" : "Replace"}
    onYes=${() => uploads.send(key)}
    onNo=${() => uploads.change(key, { state: "ready" })}
  >
    ${
      before !== undefined &&
      html`<p>Somebody else changed it meanwhile: it meant ${before ? html`<code>${short(before)}</code>` : "nothing"}.</p>`
    }
    <dl class="pairs">
      <dt>It means now</dt>
      <dd><code>${short(current)}</code></dd>
      <dt>It would mean</dt>
      <dd>
        ${digest ? html`<code>${short(digest)}</code>` : "what the server finds: no digest is computed here"}
        ${same && " — the same file"}
      </dd>
    </dl>
    <p>Requests in flight finish on what they began with. A rollback undoes it.</p>
  <//>`;
}

function Elsewhere() {
  const [name, setName] = useState("");
  const [source, setSource] = useState("");
  const submitted = (event) => {
    event.preventDefault();
    uploads.addSource(name, source);
    setName("");
    setSource("");
  };
  return html`<details class="elsewhere">
    <summary>From a place that the server reads</summary>
    <form onSubmit=${submitted}>
      <${NameField} value=${name} onChange=${setName} />
      <label class="grow">
        Path or URL, below what <code>--source</code> permits
        <input
          required
          placeholder="hf://org/name@revision"
          value=${source}
          onInput=${(event) => setSource(event.target.value)}
        />
      </label>
      <button class="primary">Take it</button>
    </form>
  </details>`;
}
