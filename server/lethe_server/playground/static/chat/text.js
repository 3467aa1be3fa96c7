// The text of an answer: differences around, tokens within, and the details of one on demand.
import { html, useMemo, useRef } from "../ui.js";
import { hideDetails, hideDetailsSoon, showDetails } from "./details.js";
import { overlaid, segments } from "./differences.js";
import { shadeOf } from "./format.js";
import { view } from "./state.js";

/** @param reference the answer of the first column to the same turn; null where this is it. */
export function AnswerText({ answer, reference }) {
  const box = useRef(null);
  answer.version.value;
  const found = useCompared(answer, reference);
  const told = overlaid(found ?? [{ kind: "same", text: answer.text }], answer.pieces);
  const last = answer.pieces.at(-1);
  const end = last && last.text === "" ? answer.pieces.length - 1 : null;
  return html`<div
    ref=${box}
    class="answer-text"
    role="group"
    tabindex="0"
    aria-label="Answer of ${answer.request.selection}; arrow keys go from token to token"
    onKeyDown=${(event) => walk(event, box.current)}
    onFocusIn=${(event) => detail(event, answer)}
    onFocusOut=${hideDetails}
    onMouseOver=${(event) => detail(event, answer)}
    onMouseLeave=${hideDetailsSoon}
  >
    <${Reasoning} answer=${answer} />
    ${told.map(
      (segment, place) => html`<${Segment} key=${place} segment=${segment} answer=${answer} />`,
    )}
    ${
      end !== null &&
      html`<span class=${classOf(answer, end)} data-piece=${end} tabindex="-1"></span>`
    }
    ${answer.isRunning && html`<span class="caret" aria-hidden="true"></span>`}
  </div>
  ${
    found === null &&
    html`<p class="note">Too long to be compared with the first column word by word.</p>`
  }`;
}

/** What the model thought before it answered; nothing is compared with it. */
function Reasoning({ answer }) {
  const thought = [...answer.pieces.entries()].filter(([, { isReasoning }]) => isReasoning);
  if (!thought.length) return null;
  return html`<div class="reasoning" role="group" aria-label="Reasoning">
    ${thought.map(
      ([piece, { text }]) =>
        html`<${Part} key=${piece} text=${text} piece=${piece} first answer=${answer} />`,
    )}
  </div>`;
}

/** Segments to show, remembered while what is compared stays; null where that takes too long. */
function useCompared(answer, reference) {
  const off = view.differences.value === "none" || reference === null;
  const both = !answer.isRunning && !(reference?.isRunning ?? false);
  if (!off) reference.version.value;
  const against = off ? null : reference.text;
  const told = useMemo(() => segments(against, answer.text, both), [against, answer.text, both]);
  return view.differences.value === "missing"
    ? told
    : (told?.filter(({ kind }) => kind !== "missing") ?? null);
}

function Segment({ segment, answer }) {
  if (segment.kind === "missing") return html`<del>${segment.text}</del>`;
  const parts = segment.parts.map(
    (part) => html`<${Part} key=${part.piece} ...${part} answer=${answer} />`,
  );
  return segment.kind === "added" ? html`<ins>${parts}</ins>` : parts;
}

const Part = ({ text, piece, first, answer }) =>
  html`<span
    class="${classOf(answer, piece)} ${first ? "first" : ""}"
    data-piece=${piece}
    tabindex=${first ? -1 : null}
    >${text}</span
  >`;

function classOf(answer, piece) {
  const { tokens, text } = answer.pieces[piece];
  const steps = tokens.map((index) =>
    shadeOf(view.shade.value, Math.exp(answer.tokens[index].logprob), answer.divergence?.[index]),
  );
  return `token ${view.shade.value}-${Math.max(0, ...steps)}${text ? "" : " end first"}`;
}

function detail({ target }, answer) {
  const token = target.closest?.(".token");
  const piece = Number(token?.dataset.piece);
  if (answer.pieces[piece]?.tokens.length) showDetails(token, answer, piece);
}

const STEPS = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 8, ArrowUp: -8 };

function walk(event, box) {
  const tokens = [...box.querySelectorAll(".token.first")];
  const now = tokens.indexOf(document.activeElement.closest(".token"));
  const places = { Home: 0, End: tokens.length - 1 };
  const stepped = now < 0 ? 0 : now + STEPS[event.key];
  const wanted = places[event.key] ?? (event.key in STEPS ? stepped : null);
  if (wanted === null || event.altKey || event.ctrlKey || event.metaKey || !tokens.length) return;
  event.preventDefault();
  tokens[Math.min(Math.max(wanted, 0), tokens.length - 1)].focus();
}
