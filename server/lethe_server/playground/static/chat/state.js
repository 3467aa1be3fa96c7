// What the chat holds: columns, turns, settings, how answers are shown. Knows nothing of elements.
import { signal } from "../vendor/signals.js";

export const BASE = "base";
export const MAX_COLUMNS = 5;

let ids = 0;
const nextId = () => (ids += 1);

/** The columns, the reference of differences first: `{id, selection, answers}`, answers by turn. */
export const columns = signal([]);

/** What was asked, in order: `{id, prompt}`. */
export const turns = signal([]);

/** The text in the prompt box. */
export const draft = signal("");

/** As typed; "" leaves a setting to the server. */
export const settings = {
  system: signal(""),
  temperature: signal("0"),
  max_tokens: signal("128"),
  seed: signal(""),
};

/** How answers are shown: what colours the tokens, and how differences from the first column. */
export const view = { shade: signal("none"), differences: signal("marked") };

export const newTurn = (prompt) => ({ id: nextId(), prompt });

const columnOf = (selection) => ({ id: nextId(), selection, answers: signal({}) });

/** Why a selection may not be added; "" if it may. */
export function whyNot(selection) {
  if (!selection) return "Name a profile, such as france, france+japan or france@3f2a9c01.";
  if (/[\s,]/.test(selection))
    return "A selection has no spaces and no commas; join profiles with +.";
  if (columns.value.some((column) => column.selection === selection))
    return `${selection} has a column already.`;
  if (columns.value.length >= MAX_COLUMNS)
    return `There is room for ${MAX_COLUMNS} columns; remove one first.`;
  return "";
}

export const addColumn = (selection) => (columns.value = [...columns.value, columnOf(selection)]);

export function removeColumn(column) {
  for (const answer of Object.values(column.answers.value)) answer.stop();
  columns.value = columns.value.filter((one) => one !== column);
}

/** Has exactly these columns; those that stay keep their conversations. */
export function showColumns(selections) {
  const wanted = [...new Set(selections)].slice(0, MAX_COLUMNS);
  const now = new Map(columns.value.map((column) => [column.selection, column]));
  for (const column of columns.value) if (!wanted.includes(column.selection)) removeColumn(column);
  columns.value = wanted.map((selection) => now.get(selection) ?? columnOf(selection));
}

export const answersNow = () =>
  columns.value.flatMap((column) => Object.values(column.answers.value));

export function clearConversation() {
  for (const answer of answersNow()) answer.stop();
  for (const column of columns.value) column.answers.value = {};
  turns.value = [];
}
