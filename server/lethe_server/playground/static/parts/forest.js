// A table of numbers with their intervals, drawn in a column of the table itself: whoever cannot
// see the drawing has every number of it in the same row.
import { html } from "../ui.js";

const MIDDLE = 12;

/** Where a value lies, in per cent of the width. */
export function place(value, [low, high]) {
  const share = (value - low) / (high - low || 1);
  return `${(100 * Math.min(1, Math.max(0, share))).toFixed(2)}%`;
}

const plain = (value) => Number(value.toPrecision(6));

/** Where a scale has its lines, its ends among them. */
export function ticks([low, high, by]) {
  const count = Math.round((high - low) / by);
  const lines = Array.from({ length: count + 1 }, (_, at) => low + at * by);
  return lines.map((at) => (Math.abs(at) < by / 1000 ? 0 : plain(at)));
}

/** A scale that holds every number: its ends and the distance of its lines, all of them round. */
export function scale(numbers) {
  const known = numbers.filter(Number.isFinite);
  const [low, high] = [Math.min(...known), Math.max(...known)];
  if (low === high) return [low - 0.5, high + 0.5, 0.5];
  const raw = (high - low) / 4;
  const power = 10 ** Math.floor(Math.log10(raw));
  const by = [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= raw * 0.999);
  return [Math.floor(low / by + 1e-6) * by, Math.ceil(high / by - 1e-6) * by, by].map(plain);
}

/** That of a share. */
export const SHARE = [0, 1, 0.25];

/** Every number that rows draw. */
export const drawn = (rows) => rows.flatMap((row) => [row.value, row.base, row.never, ...(row.interval ?? [])]);

function Axis({ domain }) {
  return html`<svg class="forest-axis" aria-hidden="true" focusable="false">
    ${ticks(domain).map((at) => html`<text x=${place(at, domain)} y="14" key=${at}>${at}</text>`)}
  </svg>`;
}

const Mark = ({ at, kind }) =>
  html`<svg x=${at} y=${MIDDLE} overflow="visible" class="forest-${kind}">
    ${kind === "base" && html`<path d="M0-5.5 5.5 0 0 5.5-5.5 0Z" />`}
    ${kind === "never" && html`<path d="M-4.5-4.5 4.5 4.5M-4.5 4.5 4.5-4.5" />`}
    ${kind === "value" && html`<circle r="5" />`}
  </svg>`;

function Whisker({ ends, domain }) {
  const [from, to] = ends.map((end) => place(end, domain));
  const cap = (at) => html`<line x1=${at} x2=${at} y1=${MIDDLE - 4} y2=${MIDDLE + 4} />`;
  return html`<g class="forest-interval">
    <line x1=${from} x2=${to} y1=${MIDDLE} y2=${MIDDLE} />${cap(from)}${cap(to)}
  </g>`;
}

function Drawing({ row, domain, zero }) {
  const known = (value) => value !== null && value !== undefined;
  return html`<svg class="forest-row" aria-hidden="true" focusable="false">
    ${ticks(domain).map((at) => {
      const x = place(at, domain);
      const kind = at === zero ? "forest-zero" : "forest-grid";
      return html`<line key=${at} class=${kind} x1=${x} x2=${x} y1="0" y2="24" />`;
    })}
    ${known(row.never) && html`<${Mark} kind="never" at=${place(row.never, domain)} />`}
    ${row.interval && html`<${Whisker} ends=${row.interval} domain=${domain} />`}
    ${known(row.base) && html`<${Mark} kind="base" at=${place(row.base, domain)} />`}
    ${known(row.value) && html`<${Mark} kind="value" at=${place(row.value, domain)} />`}
  </svg>`;
}

const NAMES = { value: "variant", base: "base", never: "never known", interval: "95 % interval" };

/** What each mark stands for; `names` says it otherwise. */
export function Legend({ marks, names = {} }) {
  return html`<p class="forest-legend" aria-hidden="true">
    ${marks.map(
      (kind) =>
        html`<span key=${kind}>
          <svg class="forest-key" focusable="false">
            ${
              kind === "interval"
                ? html`<${Whisker} ends=${[0.15, 0.85]} domain=${SHARE} />`
                : html`<${Mark} kind=${kind} at="50%" />`
            }
          </svg>
          ${names[kind] ?? NAMES[kind]}
        </span>`,
    )}
  </p>`;
}

/**
 * The table.
 *
 * @param columns of numbers: [{ title, cell(row) }].
 * @param rows [{ name, note, value, interval, base, never }], with all but the name optional.
 * @param domain a scale; nothing is drawn without.
 * @param zero the number whose line is drawn strong.
 */
export function Forest({ caption, first, columns, rows, domain, zero = 0 }) {
  return html`<div class="table-scroll" role="group" tabindex="0" aria-label=${caption}>
    <table class="forest">
      <caption>
        ${caption}
      </caption>
      <thead>
        <tr>
          <th scope="col">${first}</th>
          ${domain && html`<td class="forest-cell"><${Axis} domain=${domain} /></td>`}
          ${columns.map(({ title }) => html`<th scope="col" class="number" key=${title}>${title}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          (row) =>
            html`<tr key=${row.name}>
              <th scope="row">${row.name} ${row.note && html`<small>${row.note}</small>`}</th>
              ${
                domain &&
                html`<td class="forest-cell">
                  <${Drawing} row=${row} domain=${domain} zero=${zero} />
                </td>`
              }
              ${columns.map(({ title, cell }) => html`<td class="number" key=${title}>${cell(row)}</td>`)}
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
