// What the pages ask of the server's routes for profiles. A refusal is shown where it happens.
import { requestJson } from "../api.js";

const ROOT = "v1/unlearning/profiles";
const quiet = { quiet: true };

export const path = (name, ...more) => [ROOT, encodeURIComponent(name), ...more].join("/");

const send = (method, where, json) => requestJson(where, { method, json, ...quiet });

export const list = async () => (await requestJson(ROOT)).data;
export const get = (name) => requestJson(path(name), quiet);
export const versions = async (name) => (await requestJson(path(name, "versions"), quiet)).data;
export const mark = (name, marks) => send("PATCH", path(name), marks);
export const remove = (name) => send("DELETE", path(name));
export const rollBack = (name, version) => send("POST", path(name, "rollback"), { version });

/** Has the server read an artifact itself; `current` as in `only`. */
export const take = (name, source, current) =>
  requestJson(path(name), { method: "PUT", json: { source }, headers: only(current), ...quiet });

/** The headers of a change that is made only while a name means what it did: a digest, or null. */
export const only = (current) => (current === null ? { "If-None-Match": "*" } : { "If-Match": `"${current}"` });
