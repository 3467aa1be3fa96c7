// Files on their way to the server. They stay here when another page is looked at meanwhile.
//
// A job is {key, name, file or source, state, ...}, and goes
//
//     ready -> checking -> (asking ->) sending -> loading -> done
//              checking again, where somebody else changed the name meanwhile
//                                   any of these -> failed, or ready where it is cancelled
import { announce } from "../messages.js";
import { short } from "../parts/text.js";
import { signal } from "../ui.js";
import * as calls from "./calls.js";
import { isName, nameOf } from "./naming.js";
import { sha256, upload } from "./upload.js";

export const jobs = signal([]);
export const arrived = signal([]); // names, the latest last

const cancels = new Map();
let count = 0;

const add = (job) => {
  jobs.value = [...jobs.value, { key: (count += 1), state: "ready", ...job }];
};

export const addFiles = (files) => [...files].forEach((file) => add({ file, name: nameOf(file.name) }));

export const addSource = (name, source) => {
  add({ source, name });
  start(jobs.value.at(-1).key);
};

export const find = (key) => jobs.value.find((job) => job.key === key);

export function change(key, changes) {
  jobs.value = jobs.value.map((job) => (job.key === key ? { ...job, ...changes } : job));
}

export function remove(key) {
  jobs.value = jobs.value.filter((job) => job.key !== key);
}

export const cancel = (key) => cancels.get(key)?.abort();

const CAN_START = new Set(["ready", "failed"]);

/** Begins a job, unless it is on its way already, or gone. */
export async function start(key) {
  if (!CAN_START.has(find(key)?.state)) return;
  change(key, { before: undefined });
  await look(key);
}

/** Whether `startAll` is at work. */
export const inTurn = signal(false);

/** Those that `startAll` would begin now. */
export const ready = () => jobs.value.filter(isReady);

const isReady = (job) => job?.state === "ready" && isName(job.name);

/** Begins what is ready now, one after the other, each as it is when its turn comes. */
export async function startAll() {
  if (inTurn.value) return;
  inTurn.value = true;
  for (const { key } of ready()) if (isReady(find(key))) await start(key);
  inTurn.value = false;
}

// Looks whether the name is taken, and asks before it would mean something else.
const look = (key) =>
  trying(key, async () => {
    change(key, { state: "checking", error: null });
    const { name, file } = find(key);
    const [current, digest] = await Promise.all([meaning(name), file ? sha256(file) : null]);
    change(key, { current, digest });
    if (current === null) return send(key);
    change(key, { state: "asking" });
  });

// The server takes it only while the name means what it did when that was looked at.
export const send = (key) =>
  trying(key, async () => {
    const { name, file } = find(key);
    const found = await (file ? sendFile(key) : sendSource(key)).catch(changed(key));
    if (!found) return look(key);
    change(key, { state: "done", digest: found.digest });
    arrived.value = [...arrived.value.filter((one) => one !== name), name];
    announce(`${name} is uploaded and serves ${short(found.digest)}.`);
  });

const CHANGED = 412;

/** Nothing is found where the name means something else by now, so that it is asked about again. */
const changed = (key) => (error) => {
  if (error.status !== CHANGED) throw error;
  change(key, { before: find(key).current });
};

async function sendFile(key) {
  const { name, file, current } = find(key);
  const aborting = new AbortController();
  cancels.set(key, aborting);
  change(key, { state: "sending", sent: 0, total: file.size, seconds: null });
  const told = (progress) =>
    change(key, { ...progress, state: progress.sent < progress.total ? "sending" : "loading" });
  try {
    return await upload(name, file, current, told, aborting.signal);
  } finally {
    cancels.delete(key);
  }
}

function sendSource(key) {
  const { name, source, current } = find(key);
  change(key, { state: "loading" });
  return calls.take(name, source, current);
}

async function meaning(name) {
  return (await calls.list()).find((one) => one.id === name)?.digest ?? null;
}

async function trying(key, act) {
  try {
    await act();
  } catch (error) {
    if (error.name === "AbortError") change(key, { state: "ready" });
    else change(key, { state: "failed", error: error.message });
  }
}
