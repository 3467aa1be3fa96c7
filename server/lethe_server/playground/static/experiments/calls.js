// What the pages ask of the server's routes for experiments.
import { request, requestJson } from "../api.js";

const ROOT = "v1/unlearning/experiments";
const quiet = { quiet: true };

const path = (name, ...more) => [ROOT, encodeURIComponent(name), ...more].join("/");

export const list = async () => (await requestJson(ROOT)).data;
export const create = (plan) => requestJson(ROOT, { method: "POST", json: plan, ...quiet });
export const report = (name, signal) => requestJson(path(name, "report"), { signal, ...quiet });
export const stop = (name) => requestJson(path(name, "stop"), { method: "POST", ...quiet });
export const remove = (name) => requestJson(path(name), { method: "DELETE", ...quiet });
export const profiles = async () => (await requestJson("v1/unlearning/profiles", quiet)).data;

/** Every record as a file; the key is a header, so a plain link would not do. */
export async function records(name, format) {
  const answer = await request(path(name, `export?format=${format}`), quiet);
  return answer.blob();
}
