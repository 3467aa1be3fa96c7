// Asks columns: one streamed request for each, all at once, so that the engine batches them.
import { request, requestJson } from "../api.js";
import { announce } from "../messages.js";
import { Answer } from "./answer.js";
import { measure } from "./divergence.js";
import { told, topOf } from "./engine.js";
import { learn } from "./names.js";
import { answersNow, columns, draft, newTurn, settings, turns } from "./state.js";
import { documents } from "./stream.js";

const HEADER = "X-Unlearning-Profile";

let model = null;

/** The base model's name, of the server's list. */
async function modelName() {
  model ??= (await requestJson("v1/models")).data.find(({ parent }) => parent === null).id;
  return model;
}

/** Asks every column what is in the prompt box. */
export async function send() {
  const prompt = draft.value.trim();
  if (!prompt) return;
  const turn = newTurn(prompt);
  turns.value = [...turns.value, turn];
  draft.value = "";
  await askAll(turn);
}

/** Asks every column the last turn anew. */
export async function retryAll() {
  if (turns.value.length) await askAll(turns.value.at(-1));
}

export function stopAll() {
  for (const answer of answersNow()) answer.stop();
}

const askAll = (turn) => Promise.all(columns.value.map((column) => ask(column, turn)));

/** Asks one column a turn; what it answered to that before is replaced. */
export async function ask(column, turn) {
  column.answers.value[turn.id]?.stop();
  const answer = new Answer({ selection: column.selection, body: bodyOf(column, turn) });
  column.answers.value = { ...column.answers.value, [turn.id]: answer };
  await answered(answer);
  if (column.answers.value[turn.id] !== answer) return;
  announce(`${column.selection} ${ENDS[answer.state.value](answer)}`);
  if (answer.state.value === "done") await looked(answer);
}

const ENDS = {
  done: (answer) => `finished, ${answer.count} tokens`,
  stopped: (answer) => `stopped after ${answer.count} tokens`,
  failed: (answer) => `failed: ${answer.error}`,
};

async function answered(answer) {
  try {
    answer.request.body.model = await modelName();
    answer.started = performance.now();
    const reply = await request("v1/chat/completions", {
      method: "POST",
      quiet: true,
      headers: { [HEADER]: answer.request.selection },
      json: { ...answer.request.body, ...wanted() },
      signal: answer.controller.signal,
    });
    answer.servedBy = reply.headers.get(HEADER);
    await documents(reply.body, (document) => answer.take(document));
    answer.finish();
  } catch (error) {
    answer.fail(error);
  }
}

/** What the page needs beside the text, and a script may leave out. */
function wanted() {
  const top = topOf(told.value);
  return {
    stream: true,
    stream_options: { include_usage: true },
    ...(top !== null && { logprobs: true, top_logprobs: top, return_tokens_as_token_ids: true }),
    return_token_ids: true,
  };
}

/** Afterwards: the texts of alternatives, then the divergence. A failure costs a detail alone. */
async function looked(answer) {
  await measure(answer);
  try {
    await learn(answer);
  } catch (error) {
    answer.divergenceNote ||= `Some alternatives are shown by their number: ${error.message}`;
    answer.touch();
  }
}

function bodyOf(column, turn) {
  const { system, temperature, max_tokens: maxTokens, seed } = settings;
  return {
    model: "",
    messages: [
      ...(system.value ? [{ role: "system", content: system.value }] : []),
      ...history(column, turn),
      { role: "user", content: turn.prompt },
    ],
    ...numbers({ temperature, max_tokens: maxTokens, seed }),
  };
}

/** What this column was asked before and answered, as it did. */
function history(column, until) {
  const before = turns.value.slice(0, turns.value.indexOf(until));
  return before.flatMap((turn) => {
    const answer = column.answers.value[turn.id];
    if (!answer?.pieces.length || answer.state.value === "failed") return [];
    return [
      { role: "user", content: turn.prompt },
      { role: "assistant", content: answer.text },
    ];
  });
}

const numbers = (fields) =>
  Object.fromEntries(
    Object.entries(fields)
      .filter(([, field]) => field.value !== "")
      .map(([name, field]) => [name, Number(field.value)]),
  );
