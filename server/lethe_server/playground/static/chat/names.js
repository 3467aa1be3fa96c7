// The texts of tokens by id: a stream tells those of an answer, and of the alternatives ids alone.
import { requestJson } from "../api.js";

export const SHOWN = 5;
const HEADER = "X-Unlearning-Profile";

/** Texts by id, of one model: those that a token has alone. Among others it may have another. */
export const names = new Map();

/** The likeliest tokens at a place, the likeliest first: `[id, logprob]`. */
export const alternatives = (token) =>
  [...token.likeliest].sort(([, one], [, other]) => other - one).slice(0, SHOWN);

/** What a token that is a part of a character is decoded to. */
const INCOMPLETE = "\ufffd";

/** Learns the texts of the alternatives that are shown, and of tokens that have none of their own. */
export async function learn(answer) {
  const shown = answer.tokens.flatMap((token) => [
    ...alternatives(token).map(([id]) => id),
    ...(token.text ? [] : [token.id]),
  ]);
  const unknown = [...new Set(shown)].filter((id) => !names.has(id));
  if (!unknown.length || !answer.promptIds.length) return;
  for (const [id, text] of await asked(answer, unknown))
    if (text && !text.includes(INCOMPLETE)) names.set(id, text);
  answer.touch();
}

/** Asks for all at once, a known token between them; nothing where they cannot be told apart. */
async function asked(answer, ids) {
  const between = answer.promptIds[0];
  const mark = await detokenized(answer, [between]);
  const text = await detokenized(answer, [between, ...ids.flatMap((id) => [id, between])]);
  const texts = mark ? text.split(mark).slice(1, -1) : [];
  return texts.length === ids.length ? ids.map((id, place) => [id, texts[place]]) : [];
}

async function detokenized(answer, tokens) {
  const found = await requestJson("detokenize", {
    method: "POST",
    quiet: true,
    headers: { [HEADER]: answer.request.selection },
    json: { model: answer.request.body.model, tokens },
  });
  return found.prompt;
}
