// Which words of an answer differ from the reference's, laid over the pieces that tokens made.
import { diffWords } from "../vendor/diff-word.js";

/**
 * Segments whose kinds are "same", "added" and "missing"; without the missing ones they are `text`.
 * Null where both have ended and comparing them takes too long.
 *
 * @param both whether both have ended. Until then the end of neither is taken for a difference, and
 *   a comparison that takes longer than a frame is left out.
 */
export function segments(reference, text, both) {
  const whole = [{ kind: "same", text }];
  if (reference === null || reference === text) return whole;
  const found = diffWords(reference, text, { timeout: both ? 200 : 15 });
  if (!found) return both ? null : whole;
  const told = found.map(({ added, removed, value }) => ({
    kind: added ? "added" : removed ? "missing" : "same",
    text: value,
  }));
  return both ? told : openEnded(told);
}

function openEnded(told) {
  const end = told.findLastIndex(({ kind }) => kind === "same") + 1;
  const tail = told.slice(end).filter(({ kind }) => kind === "added");
  return [...told.slice(0, end), ...tail.map(({ text }) => ({ kind: "same", text }))];
}

/** Cuts segments where pieces end: each gets `parts`, `{text, piece, first}`. Reasoning is in none. */
export function overlaid(told, pieces) {
  let piece = 0;
  let used = 0;
  return told.map((segment) => {
    if (segment.kind === "missing") return { ...segment, parts: [] };
    const parts = [];
    let left = segment.text;
    while (left && piece < pieces.length) {
      if (pieces[piece].isReasoning) {
        piece += 1;
        continue;
      }
      const text = left.slice(0, pieces[piece].text.length - used);
      if (text) parts.push({ text, piece, first: used === 0 });
      left = left.slice(text.length);
      used += text.length;
      if (used >= pieces[piece].text.length) [piece, used] = [piece + 1, 0];
    }
    return { ...segment, parts };
  });
}
