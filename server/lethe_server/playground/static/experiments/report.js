// What an experiment has shown so far: counts, each metric with its intervals, what to mind.
import { drawn, Forest, Legend, scale, SHARE } from "../parts/forest.js";
import { heads } from "../parts/heads.js";
import { interval, number, percent, plural, pValue, short } from "../parts/text.js";
import { html } from "../ui.js";

export const Report = ({ report }) =>
  html`<${Warnings} report=${report} />
    <${Counts} report=${report} />
    ${Object.keys(report.arms[0].metrics).map((name) => html`<${Metric} key=${name} name=${name} report=${report} />`)}
    ${!Object.keys(report.arms[0].metrics).length && html`<p class="note">No outcome has been told yet.</p>`}
    <p class="peeking">
      Intervals and p-values are for one look at one metric and one arm: with many, or while waiting for one to fall
      below a bound, some will by chance alone.
    </p>`;

function Warnings({ report }) {
  const found = warnings(report);
  if (!found.length) return null;
  return html`<div class="warnings" role="alert">
    <ul>
      ${found.map((line) => html`<li key=${line}>${line}</li>`)}
    </ul>
  </div>`;
}

function warnings({ sample_ratio: ratio, lost_exposures: lost, unexposed_outcomes: unexposed, arms }) {
  const several = arms.filter((arm) => arm.served.filter((one) => one.digest).length > 1);
  return [
    ratio.mismatch &&
      `The arms do not have the units that their weights say (p ${under(ratio.p_value)}): ` +
        "something else decides who takes part, and no comparison below can be trusted.",
    lost && `${plural(lost, "exposure")} could not be recorded.`,
    unexposed && `${plural(unexposed, "outcome")} of units that were not exposed: they count nowhere.`,
    ...several.map((arm) => `Arm ${arm.name} was served by several digests: its profile was replaced meanwhile.`),
  ].filter(Boolean);
}

const under = (p) => (p < 0.001 ? pValue(p) : `= ${pValue(p)}`);

const armName = (arm, control) => html`${arm.name}${arm.name === control && html` <span class="badge">control</span>`}`;

function Counts({ report }) {
  const units = report.arms.reduce((sum, arm) => sum + arm.units, 0);
  const weights = report.arms.reduce((sum, arm) => sum + arm.weight, 0);
  const shares = (arm) =>
    html`${units ? percent(arm.units / units) : "–"} <small>of ${percent(arm.weight / weights)}</small>`;
  return html`<section class="card" aria-labelledby="counts-title">
    <h2 id="counts-title">Who took part</h2>
    <div class="table-scroll" role="group" tabindex="0" aria-label="Counts of each arm">
      <table class="counts">
        <thead>
          <tr>
            ${heads(["Arm", "Profile"])} ${heads(["Units", "Share", "Exposures", "Errors"], "number")}
            ${heads(["Served by"])}
          </tr>
        </thead>
        <tbody>
          ${report.arms.map(
            (arm) =>
              html`<tr key=${arm.name}>
                <th scope="row">${armName(arm, report.control)}</th>
                <td>${arm.profile}</td>
                <td class="number">${arm.units}</td>
                <td class="number">${shares(arm)}</td>
                <td class="number">${arm.exposures}</td>
                <td class="number">${arm.errors}</td>
                <td>${arm.served.map((one) => html`<${Served} key=${one.digest} one=${one} arm=${arm} />`)}</td>
              </tr>`,
          )}
        </tbody>
      </table>
    </div>
    <p class="note">
      What is counted is units. ${plural(units, "unit")} in all; parted as the weights say
      ${report.sample_ratio.p_value === null ? ": not known yet" : `: p ${under(report.sample_ratio.p_value)}`}.
    </p>
  </section>`;
}

/** No digest is the base's, or that of an answer which nothing served. */
const Served = ({ one, arm }) =>
  html`<span class="served"
    >${one.digest ? html`<code>${short(one.digest)}</code>` : unnamed(arm)} × ${one.exposures}</span
  >`;

const unnamed = (arm) => (arm.profile === "base" ? "base" : "nothing");

function Metric({ name, report }) {
  const rows = report.arms.map((arm) => ({
    name: arm.name,
    note: arm.name === report.control && "control",
    ...arm.metrics[name],
  }));
  const { kind } = rows[0];
  const differences = rows
    .filter((one) => one.difference)
    .map(({ name: of, difference }) => ({ name: of, ...difference }));
  const domain = kind === "rate" ? SHARE : scaleOf(rows);
  return html`<section class="card metric" aria-labelledby=${`metric-${name}`}>
    <h2 id=${`metric-${name}`}>${name} <small>${kind}</small></h2>
    <${Forest} caption=${`${name}: ${kind} of each arm`} first="Arm" columns=${VALUES} rows=${rows} domain=${domain} />
    ${
      differences.length > 0 &&
      html`<${Forest}
        caption=${`${name}: difference from ${report.control}`}
        first="Arm"
        columns=${differing(report.control)}
        rows=${differences}
        domain=${scale([0, ...drawn(differences)])}
      />`
    }
    <${Legend} marks=${["value", "interval"]} names=${{ value: kind }} />
  </section>`;
}

const scaleOf = (rows) => (drawn(rows).some(Number.isFinite) ? scale(drawn(rows)) : null);

const VALUES = [
  { title: "value", cell: (one) => number(one.value) },
  { title: "95 %", cell: (one) => interval(one.interval) },
  { title: "units", cell: (one) => one.count },
];

const differing = (control) => [
  { title: `less ${control}`, cell: (one) => number(one.value) },
  { title: "95 %", cell: (one) => interval(one.interval) },
  { title: "p", cell: (one) => pValue(one.p_value) },
];
