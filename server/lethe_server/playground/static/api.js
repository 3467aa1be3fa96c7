// The one way to the server: adds the key, and turns what it answers into words.
import { ofTab } from "./storage.js";
import { signal } from "./vendor/signals.js";

const KEY = "lethe.key";

/** Where the server is mounted: relative, so that a proxy's prefix stays. */
export const ROOT = new URL("..", import.meta.url);

/** The API key; kept for this tab alone, never in an address. */
export const key = signal(ofTab.get(KEY) ?? "");

/** How often a key was given here: what another was told, or the same one before, is asked anew. */
export const keysGiven = signal(0);

/** Why the server asks for a key, or for another one; "" while it does not. */
export const keyWanted = signal("");

export function setKey(value) {
  ofTab.set(KEY, value);
  keyWanted.value = "";
  key.value = value;
  keysGiven.value += 1;
}

/** An answer that is an error, with a message to show. */
export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }

  get asksForKey() {
    return this.status === 401 || this.status === 403;
  }
}

/** What `keysGiven` was when the server last refused a key. */
let refused = null;

/**
 * Asks the server.
 *
 * @param path below ROOT, such as "v1/models".
 * @param options those of fetch; also `json`, a body to send as JSON, and `quiet`: where the caller
 *   shows a refusal itself, so that the key field stays as it is; but a key that is refused (401)
 *   is asked for once.
 * @returns the Response, which is not an error.
 * @throws ApiError, or the DOMException of an aborted request.
 */
export async function request(path, { json, quiet = false, headers = {}, ...options } = {}) {
  const sent = new Headers(headers);
  if (key.value) sent.set("Authorization", `Bearer ${key.value}`);
  if (json !== undefined) sent.set("Content-Type", "application/json");
  const body = json === undefined ? options.body : JSON.stringify(json);
  const answer = await reached(new URL(path, ROOT), { ...options, headers: sent, body });
  if (answer.ok) return answer;
  const error = new ApiError(await messageOf(answer), answer.status);
  if (answer.status === 401 && !(quiet && refused === keysGiven.peek())) {
    refused = keysGiven.peek();
    keyWanted.value = key.value
      ? "The server refuses this key."
      : "This server asks for an API key.";
  }
  if (answer.status === 403 && !quiet)
    keyWanted.value = `This key may not do that: ${error.message}`;
  throw error;
}

/** The JSON that the server answers; errors as `request`, or an ApiError where it is none. */
export const requestJson = async (path, options) => documentOf(await (await request(path, options)).text());

/** @throws ApiError where an answer's text is no JSON. */
export function documentOf(text) {
  try {
    return JSON.parse(text);
  } catch {
    throw new ApiError(`expected JSON from the server, found ${text.slice(0, 80) || "nothing"}; ${ELSEWHERE}`, 0);
  }
}

const ELSEWHERE = "see what else answers at this address, such as a proxy";

async function reached(url, options) {
  try {
    return await fetch(url, { ...options, credentials: "same-origin", redirect: "error" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server cannot be reached; see whether it runs, then try again.", 0);
  }
}

/** The message of an error as Lethe, vLLM or FastAPI write it. */
async function messageOf(answer) {
  const text = await answer.text();
  return messageIn(text) || `The server answered ${answer.status} ${answer.statusText}.`;
}

export function messageIn(text) {
  try {
    const { error, detail, message } = JSON.parse(text);
    const found = error?.message ?? error ?? message ?? detail;
    return typeof found === "string" ? found : found && JSON.stringify(found);
  } catch {
    return text.slice(0, 500);
  }
}
