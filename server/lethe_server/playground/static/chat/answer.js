// One answer of one column, while it comes and after. Knows nothing of requests or elements.
import { ApiError, messageIn } from "../api.js";
import { signal } from "../vendor/signals.js";
import { piecesOf, tokenOf } from "./pieces.js";

/** What an answer may be: "waiting", "streaming", "done", "stopped" or "failed". */
export class Answer {
  /** Changes with everything else; what shows an answer reads it first. */
  version = signal(0);
  state = signal("waiting");
  controller = new AbortController();
  servedBy = null;
  /** What it says, without its reasoning; `pieces` has both. */
  text = "";
  pieces = [];
  tokens = [];
  promptIds = [];
  error = "";
  finishReason = null;
  usage = null;
  /** By token, in nats; null while they are not known. `divergenceNote` says why they are not. */
  divergence = null;
  divergenceNote = "";
  started = performance.now();
  firstAfter = null;
  lastAfter = null;
  #waiting = [];
  #frame = 0;

  /** @param request what was sent: `{selection, body}`. */
  constructor(request) {
    this.request = request;
  }

  get isRunning() {
    return this.state.value === "waiting" || this.state.value === "streaming";
  }

  /** How many tokens it has, the one that ends it included. */
  get count() {
    return this.usage?.completion_tokens ?? this.tokens.length;
  }

  /** Takes one document of the stream. */
  take(document) {
    if (document.error)
      throw new ApiError(messageIn(JSON.stringify(document)), document.error.code ?? 500);
    if (document.prompt_token_ids) this.promptIds = document.prompt_token_ids;
    if (document.usage) this.usage = document.usage;
    for (const choice of document.choices ?? []) this.#takeChoice(choice);
    this.touch();
  }

  #takeChoice({ delta, logprobs, finish_reason: reason }) {
    const told = logprobs?.content ?? [];
    const { reasoning, content } = delta ?? {};
    const indices = told.map((_, place) => this.tokens.length + place);
    this.tokens.push(...told.map(tokenOf));
    this.#takeText(reasoning ?? "", content ?? "", indices);
    this.finishReason = reason ?? this.finishReason;
    if (told.length || reasoning || content) {
      this.lastAfter = performance.now() - this.started;
      this.firstAfter ??= this.lastAfter;
      this.state.value = "streaming";
    }
  }

  /** The tokens of an event that has both, where reasoning ends, are the text's that follows. */
  #takeText(reasoning, content, indices) {
    if (reasoning) {
      const own = content ? [] : indices;
      const pieces = piecesOf(reasoning, own, this.tokens, this.#waiting);
      this.pieces.push(...pieces.map((piece) => ({ ...piece, isReasoning: true })));
    }
    if (content || !reasoning)
      this.pieces.push(...piecesOf(content, indices, this.tokens, this.#waiting));
    this.text += content;
  }

  /** Ends it as "done", with the tokens that have no text of their own at its end. */
  finish() {
    if (this.finishReason === null)
      throw new ApiError("The answer broke off; see the server's log, or retry.", 0);
    this.#end("done");
  }

  fail(error) {
    this.controller.abort();
    if (error.name === "AbortError") {
      this.#end("stopped");
      return;
    }
    this.error = error.message;
    this.#end("failed");
  }

  stop() {
    this.controller.abort();
  }

  #end(state) {
    if (this.#waiting.length) this.pieces.push({ text: "", tokens: this.#waiting.splice(0) });
    cancelAnimationFrame(this.#frame);
    this.state.value = state;
    this.version.value += 1;
  }

  /** Has it shown anew, at most once a frame. */
  touch() {
    cancelAnimationFrame(this.#frame);
    this.#frame = requestAnimationFrame(() => (this.version.value += 1));
  }
}
