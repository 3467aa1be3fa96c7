// The chat's state in the address: columns, prompt and settings. No answers, and no key.
import { columns, draft, settings, showColumns, turns, view } from "./state.js";

const SHADES = ["none", "probability", "divergence"];
const DIFFERENCES = ["none", "marked", "missing"];

/** What the address may have beside columns and prompt: each signal, and what it may be. */
const FIELDS = {
  temperature: [
    settings.temperature,
    (text) => text === "" || (Number(text) >= 0 && Number(text) <= 2),
  ],
  max_tokens: [settings.max_tokens, (text) => text === "" || /^[1-9]\d{0,6}$/.test(text)],
  seed: [settings.seed, (text) => /^\d{0,15}$/.test(text)],
  system: [settings.system, () => true],
  shade: [view.shade, (text) => SHADES.includes(text)],
  differences: [view.differences, (text) => DIFFERENCES.includes(text)],
};

const DEFAULTS = Object.fromEntries(
  Object.entries(FIELDS).map(([name, [field]]) => [name, field.value]),
);

/** What the address should have now, as URLSearchParams. */
export function toQuery() {
  const params = new URLSearchParams({
    columns: columns.value.map((column) => column.selection).join(","),
  });
  const prompt = draft.value || turns.value.at(-1)?.prompt;
  if (prompt) params.set("prompt", prompt);
  for (const [name, [field]] of Object.entries(FIELDS)) {
    if (field.value !== DEFAULTS[name]) params.set(name, field.value);
  }
  return params;
}

/** The whole of the address of what the chat has now. */
export const link = () => new URL(`#/chat?${toQuery()}`, location.href).href;

/** Takes what an address has and can be; the rest stays. Returns whether it names columns. */
export function fromQuery(params) {
  for (const [name, [field, permitted]] of Object.entries(FIELDS)) {
    const text = params.get(name);
    if (text !== null && permitted(text)) field.value = text;
  }
  const prompt = params.get("prompt");
  // What was asked already need not be asked again, only because somebody came back.
  if (prompt !== null && prompt !== turns.value.at(-1)?.prompt) draft.value = prompt;
  const selections = (params.get("columns") ?? "")
    .split(",")
    .filter((one) => /^[^\s,]+$/.test(one));
  if (selections.length) showColumns(selections);
  return selections.length > 0;
}
