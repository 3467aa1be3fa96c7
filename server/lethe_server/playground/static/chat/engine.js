// What the server's engine tells of how probable tokens are, and so what can be asked and said.
import { signal } from "../vendor/signals.js";

/** vLLM's limit for a chat's tokens, whatever a server permits. */
const MOST = 20;

/** As the list of profiles says it: vLLM's `--logprobs-mode`, and the most that it may be asked. */
export const told = signal({ mode: "raw_logprobs", top: MOST });

/** How many likeliest tokens to ask for; null where the engine would tell logits. */
export const topOf = ({ top }) => (top === null ? null : Math.min(MOST, top));

/** Why there is no divergence from the base; "" where there is one. */
export function whyNoDivergence({ mode, top }) {
  if (top === null)
    return `No probabilities and no divergence: this server tells logits (--logprobs-mode ${mode}).`;
  if (mode !== "raw_logprobs")
    return `No divergence: this server tells an answer's probabilities after temperature and the like (--logprobs-mode ${mode}), and the base's before.`;
  return "";
}
