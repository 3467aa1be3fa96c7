// What is told of one token: beside the pointer or the focus, one at a time for the whole page.
import { html, signal, useEffect, useLayoutEffect, useRef } from "../ui.js";
import { nats, percent, quoted } from "./format.js";
import { alternatives, names } from "./names.js";
import { BASE } from "./state.js";

const LINGER_MS = 150;
const ID = "token-details";

/** `{element, parts, answer, piece}`, as differences may cut a token in parts; null for none. */
const shown = signal(null);
let leaving = 0;

export function showDetails(element, answer, piece) {
  hideDetails();
  const parts = [...element.closest(".answer-text").querySelectorAll(`[data-piece="${piece}"]`)];
  for (const part of parts) part.classList.add("told");
  element.setAttribute("aria-describedby", ID);
  shown.value = { element, parts, answer, piece };
}

export function hideDetails() {
  clearTimeout(leaving);
  const before = shown.peek();
  for (const part of before?.parts ?? []) part.classList.remove("told");
  before?.element.removeAttribute("aria-describedby");
  shown.value = null;
}

/** Leaves time for the pointer to come over the details themselves. */
export function hideDetailsSoon() {
  clearTimeout(leaving);
  leaving = setTimeout(hideDetails, LINGER_MS);
}

/** Has them placed anew where the page moved under them. */
function follow() {
  if (shown.peek()) shown.value = { ...shown.peek() };
}

export const detailsAreShown = () => shown.peek() !== null;

export function Details() {
  const box = useRef(null);
  const now = shown.value;
  useLayoutEffect(() => {
    if (now) place(box.current, now.element);
  });
  useEffect(() => {
    addEventListener("scroll", follow, { capture: true, passive: true });
    return () => removeEventListener("scroll", follow, { capture: true });
  }, []);
  if (!now) return null;
  now.answer.version.value;
  const piece = now.answer.pieces[now.piece];
  if (!piece) return null;
  return html`<div
    ref=${box}
    id=${ID}
    role="tooltip"
    class="details"
    onMouseEnter=${() => clearTimeout(leaving)}
    onMouseLeave=${hideDetailsSoon}
  >
    ${piece.tokens.map(
      (index) => html`<${TokenDetails} key=${index} answer=${now.answer} index=${index} />`,
    )}
  </div>`;
}

function TokenDetails({ answer, index }) {
  const token = answer.tokens[index];
  return html`<p class="details-token">
      <code>${nameOf(token)}</code> <strong>${percent(token.logprob)}</strong>
    </p>
    <${Divergence} answer=${answer} index=${index} />
    <table>
      <caption>Likeliest here</caption>
      <tbody>
        ${alternatives(token).map(
          ([id, logprob]) =>
            html`<tr key=${id} class=${id === token.id ? "chosen" : ""}>
              <th scope="row"><code>${id === token.id ? nameOf(token) : textOf(id)}</code></th>
              <td class="number">${percent(logprob)}</td>
            </tr>`,
        )}
      </tbody>
    </table>`;
}

function Divergence({ answer, index }) {
  if (answer.request.selection === BASE) return null;
  const found = answer.divergence?.[index];
  const text =
    found === undefined
      ? answer.divergenceNote || "Divergence from the base: known once the answer has ended."
      : `KL(base ‖ ${answer.request.selection}) here: at least ${nats(found)}`;
  return html`<p class="details-kl">${text}</p>`;
}

export const textOf = (id) => (names.has(id) ? quoted(names.get(id)) : `token ${id}`);

export const nameOf = (token) => (token.text ? quoted(token.text) : textOf(token.id));

function place(box, element) {
  const [around] = element.getClientRects();
  if (!around) return;
  const { width, height } = box.getBoundingClientRect();
  const left = Math.min(Math.max(8, around.left), innerWidth - width - 8);
  const below = around.bottom + 6;
  const top = below + height < innerHeight ? below : Math.max(8, around.top - height - 6);
  box.style.left = `${left}px`;
  box.style.top = `${top}px`;
}
