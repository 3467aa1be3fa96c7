// The tokens of an answer as a table: what the details tell, for reading and copying.
import { html } from "../ui.js";
import { nameOf, textOf } from "./details.js";
import { percent } from "./format.js";
import { alternatives } from "./names.js";
import { BASE } from "./state.js";

export function TokenTable({ answer }) {
  answer.version.value;
  const name = answer.request.selection;
  const compared = name !== BASE;
  return html`<div class="table-scroll" tabindex="0" role="region" aria-label="Tokens of ${name}">
    <table class="tokens">
      <caption>
        Tokens of ${name}${
          compared &&
          html`<span class="note"
          >: KL(base ‖ ${name}) at each, after the same tokens, at least, in nats</span
        >`
        }
      </caption>
      <thead>
        <tr>
          <th scope="col">Token</th>
          <th scope="col" class="number">Probability</th>
          ${compared && html`<th scope="col" class="number">KL ≥</th>`}
          <th scope="col">Likeliest</th>
        </tr>
      </thead>
      <tbody>
        ${answer.tokens.map(
          (token, index) =>
            html`<tr key=${index}>
              <th scope="row"><code>${nameOf(token)}</code></th>
              <td class="number">${percent(token.logprob)}</td>
              ${compared && html`<td class="number">${answer.divergence?.[index].toFixed(3) ?? "–"}</td>`}
              <td>
                ${alternatives(token)
                  .slice(0, 3)
                  .map(
                    ([id, logprob]) =>
                      html`<span key=${id} class="alternative"><code>${id === token.id ? nameOf(token) : textOf(id)}</code> ${percent(logprob)}</span>`,
                  )}
              </td>
            </tr>`,
        )}
      </tbody>
    </table>
  </div>`;
}
