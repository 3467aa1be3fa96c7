// A profile's evidence in one number, in the list.
import { html, useEffect, useState } from "../ui.js";
import { number } from "../parts/text.js";
import * as calls from "./calls.js";

const MAX_CALLS = 3; // of the six connections that a browser has for one host
const waiting = [];
let running = 0;

// Of a row: undefined while it is asked for, null where there is none.
export function useEvidence({ id, digest }) {
  const [found, setFound] = useState(undefined);
  useEffect(() => {
    let wanted = true;
    const tell = (evidence) => wanted && setFound(evidence);
    queue(() => (wanted ? calls.get(id) : { evidence: null })).then(
      ({ evidence }) => tell(evidence),
      () => tell(undefined), // the list says what may be wrong
    );
    return () => {
      wanted = false;
    };
  }, [id, digest]);
  return found;
}

export function Badge({ evidence }) {
  if (evidence === undefined) return html`<span class="badge unknown">…</span>`;
  if (evidence === null) return html`<span class="badge none">none</span>`;
  const worst = Math.max(...evidence.suites.map((suite) => suite.headline.recovered));
  return html`<span class="badge" title="recovered by the worst form of every suite">
    worst form ${number(worst)}
  </span>`;
}

function queue(call) {
  return new Promise((resolve, reject) => {
    waiting.push(() => Promise.resolve(call()).then(resolve, reject).finally(next));
    if (running < MAX_CALLS) begin();
  });
}

function begin() {
  running += 1;
  waiting.shift()();
}

function next() {
  running -= 1;
  if (waiting.length) begin();
}
