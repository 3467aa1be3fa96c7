// How far a variant is from the base at each token of the variant's own answer.
//
// At each token, p is the base's distribution and q the variant's, both after the same tokens: the
// conversation, and the answer so far as the variant gave it. What is told is a lower bound of
// KL(p || q), as in lethe_server/compare/divergence.py: the engine tells the likeliest tokens alone,
// so those that both tell keep a bucket each and all others share one.
import { requestJson } from "../api.js";
import { told, topOf, whyNoDivergence } from "./engine.js";
import { BASE } from "./state.js";

const HEADER = "X-Unlearning-Profile";

/** What is left of 1 after some float32 probabilities is known no better than this. */
const FLOOR = 1e-6;

const rest = (logprobs, ids) => ids.reduce((left, id) => left - Math.exp(logprobs.get(id)), 1);

/** At most KL(p || q), in nats, of log-probabilities by token id. */
export function klLowerBound(p, q) {
  const common = [...p.keys()].filter((id) => q.has(id));
  const told = common.reduce((sum, id) => sum + Math.exp(p.get(id)) * (p.get(id) - q.get(id)), 0);
  const [restP, restQ] = [rest(p, common), rest(q, common)];
  const others = restP > 0 ? restP * Math.log(restP / Math.max(restQ, FLOOR)) : 0;
  return Math.max(0, told + others);
}

/**
 * Reads an answer back to the base, and says how far the answer's own distributions are from it.
 * Where that cannot be had, the answer says why.
 */
export async function measure(answer) {
  const isBase = answer.request.selection === BASE;
  if (!isBase || told.value.top === null) answer.divergenceNote = whyNoDivergence(told.value);
  if (isBase || !answer.tokens.length || answer.divergenceNote) return answer.touch();
  try {
    const read = await readByBase(answer);
    answer.divergence = answer.tokens.map((token, place) =>
      klLowerBound(likeliestOf(read[place]), token.likeliest),
    );
  } catch (error) {
    answer.divergenceNote = `Divergence from the base is not available: ${error.message}`;
  }
  answer.touch();
}

async function readByBase(answer) {
  const answered = await requestJson("v1/completions", {
    method: "POST",
    quiet: true,
    headers: { [HEADER]: BASE },
    json: {
      model: answer.request.body.model,
      prompt: [...answer.promptIds, ...answer.tokens.map((token) => token.id)],
      prompt_logprobs: topOf(told.value),
      max_tokens: 1, // the engine generates one at least
      temperature: 0,
    },
  });
  return answered.choices[0].prompt_logprobs.slice(answer.promptIds.length);
}

const likeliestOf = (entries) =>
  new Map(Object.entries(entries).map(([id, entry]) => [Number(id), entry.logprob]));
