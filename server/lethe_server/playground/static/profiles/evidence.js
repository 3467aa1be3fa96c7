// What was measured of a profile: the worst first, each number with its interval and anchors.
import { key, ROOT } from "../api.js";
import { drawn, Forest, Legend, scale, SHARE } from "../parts/forest.js";
import { interval, number, plural, short } from "../parts/text.js";
import { html } from "../ui.js";
import { NOT_SHOWN } from "./not_shown.js";

export function Evidence({ profile }) {
  const found = profile.evidence;
  return html`<section class="card evidence" aria-labelledby="evidence-title">
    <h2 id="evidence-title">Evidence</h2>
    ${found ? html`<${Found} found=${found} />` : html`<${None} name=${profile.id} />`}
  </section>`;
}

const None = ({ name }) =>
  html`<p>
      Nothing is known of what <strong>${name}</strong> forgets and keeps: nobody has attached a measurement of its
      digest.
    </p>
    <p>Measure it, in minutes, and attach what comes out:</p>
    <pre tabindex="0"><code>${withKey()}lethe eval --url ${SERVER} --profile ${name} --suite capitals --attach</code></pre>`;

/** Where the page has to send a key, the command has to as well. */
const withKey = () => (key.value ? "LETHE_API_KEY=$LETHE_KEY " : "");

const SERVER = ROOT.href.replace(/\/$/, "");

const Found = ({ found }) =>
  html`<p class="note">
      Of <code>${short(found.digest)}</code> on the base model <code>${short(found.model)}</code>, measured${" "}
      ${found.by === "http" ? "over HTTP" : "offline"} (${found.engine}${found.dtype && `, ${found.dtype}`}); subjects:
      ${" "}${found.split}; answers of ${plural(found.max_tokens, "token")} at most. Intervals are 95 %.
    </p>
    ${found.suites.map((suite) => html`<${Suite} key=${suite.sha256} suite=${suite} retain=${found.retain} />`)}
    ${found.retain && html`<${Retain} retain=${found.retain} />`}
    ${
      found.left_out.length > 0 &&
      html`<h3>Left out</h3>
        <ul>
          ${found.left_out.map((line) => html`<li key=${line}>${line}</li>`)}
        </ul>`
    }
    <details>
      <summary>What these numbers do not show</summary>
      <ul>
        ${NOT_SHOWN.map((line) => html`<li key=${line}>${line}</li>`)}
      </ul>
    </details>`;

const named = (measures, name) => measures.find((one) => one.name === name);

function Suite({ suite, retain }) {
  const { forget, neighbour, unrelated, measures, headline } = suite;
  const title = `${suite.name} ${suite.version}`;
  const kl = retain && named(retain.measures, "KL");
  return html`<h3>${title}</h3>
    <p class="note">${facts(suite.facts)}; ${plural(suite.prompts, "prompt")} of each of base and variant.</p>
    <ul class="headline">
      <${Tile}
        title="still recovered by the worst form"
        of=${named(forget, headline.worst_form)}
        value=${headline.recovered}
        extra=${headline.worst_form}
      />
      <${Tile} title="neighbours kept" of=${named(measures, "neighbours")} value=${headline.neighbours} />
      <${Tile} title="unrelated facts kept" of=${named(measures, "unrelated facts")} value=${headline.unrelated} />
      <${Tile} title="KL on retain text, nats a token" of=${kl} value=${kl?.value} />
    </ul>
    <${Measured}
      title="Still recovered of what should be forgotten"
      of=${title}
      first="Form"
      measures=${forget}
      domain=${SHARE}
    />
    <${Measured} title="Kept of neighbours" of=${title} first="Form" measures=${neighbour} domain=${SHARE} />
    <${Measured} title="Kept of unrelated facts" of=${title} first="Form" measures=${unrelated} domain=${SHARE} />
    <${Measured} title="Further measures" of=${title} first="Measure" measures=${measures} folded />`;
}

const facts = (sets) =>
  Object.entries(sets)
    .map(([name, count]) => `${count} ${name.replaceAll("_", " ")}`)
    .join(", ");

/** A headline; those of suites whose base knows nothing of a set have no value. */
function Tile({ title, value, of, extra }) {
  if (value === null || value === undefined) return null;
  return html`<li>
    <span class="title">${title}</span>
    <strong>${number(value)}</strong>
    ${of?.interval && html`<span>95 %: ${interval(of.interval)}</span>`}
    ${extra && html`<span><code>${extra}</code></span>`}
  </li>`;
}

const isDivergence = ({ name }) => name.startsWith("KL");

function Retain({ retain }) {
  const divergences = retain.measures.filter(isDivergence);
  const others = retain.measures.filter((one) => !isDivergence(one));
  const of = plural(retain.texts, "text");
  return html`<h3>Retain text</h3>
    <p class="note">${of} that must stay as they are.</p>
    <${Measured}
      title="Divergence from the base, nats a token"
      of=${of}
      first="Measure"
      measures=${divergences}
      domain=${scaleOf(divergences)}
    />
    <${Measured} title="Perplexity" of=${of} first="Measure" measures=${others} domain=${scaleOf(others)} zero=${1} />`;
}

const scaleOf = (measures) => (measures.length ? scale(drawn(measures.map(row))) : null);

const row = (measure) => ({ ...measure, never: measure.never_known });

const COLUMNS = [
  { title: "value", cell: (one) => number(one.value) },
  { title: "95 %", cell: (one) => interval(one.interval) },
  { title: "n", cell: ({ n, asked }) => (asked === null ? `${n}` : `${n} of ${asked}`) },
  { title: "base", cell: (one) => number(one.base) },
  { title: "never known", cell: (one) => number(one.never) },
];

function Measured({ title, of, first, measures, domain, zero, folded }) {
  if (!measures.length) return null;
  const rows = measures.map(row);
  const table = html`<${Forest}
      caption=${`${title} (${of})`}
      first=${first}
      columns=${COLUMNS}
      rows=${rows}
      domain=${domain}
      zero=${zero}
    />
    ${domain && html`<${Legend} marks=${marks(rows)} />`}
    <${Formulas} measures=${measures} />`;
  return folded
    ? html`<details>
        <summary>${title}</summary>
        ${table}
      </details>`
    : html`<h4>${title}</h4>
        ${table}`;
}

const marks = (rows) =>
  ["value", "interval", "base", "never"].filter((kind) => rows.some((one) => (one[kind] ?? null) !== null));

function Formulas({ measures }) {
  const byFormula = new Map();
  for (const { name, formula } of measures) byFormula.set(formula, [...(byFormula.get(formula) ?? []), name]);
  return html`<details class="formulas">
    <summary>Formulas</summary>
    <dl>
      ${[...byFormula].map(
        ([formula, names]) =>
          html`<div key=${formula}>
            <dt>${names.join(", ")}</dt>
            <dd>${formula}</dd>
          </div>`,
      )}
    </dl>
  </details>`;
}
