// From what a stream brings to pieces of text with the tokens that made them.

const ID = /^token_id:(\d+)$/;
const utf8 = new TextDecoder();

const idOf = (token) => Number(ID.exec(token)?.[1] ?? Number.NaN);

/** A token as the page keeps it: its id, its text if it has one alone, log-probabilities by id. */
export function tokenOf({ token, logprob, bytes, top_logprobs: top }) {
  const id = idOf(token);
  const likeliest = new Map(top.map((one) => [idOf(one.token), one.logprob]));
  likeliest.set(id, logprob);
  return { id, logprob, likeliest, text: utf8.decode(new Uint8Array(bytes ?? [])) };
}

/**
 * The pieces of one event, `{text, tokens}`: one for each token where their texts make up the event's, else one for
 * all. Tokens that end within a character come with no text and wait, in `waiting`, for the next.
 */
export function piecesOf(text, indices, tokens, waiting) {
  const all = [...waiting.splice(0), ...indices];
  if (!text) {
    waiting.push(...all);
    return [];
  }
  const texts = all.map((index) => tokens[index].text);
  if (texts.every(Boolean) && texts.join("") === text) {
    return all.map((index, place) => ({ text: texts[place], tokens: [index] }));
  }
  return [{ text, tokens: all }];
}
