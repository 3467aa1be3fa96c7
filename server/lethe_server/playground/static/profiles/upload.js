// Sends a file to the server and tells how far it is, which fetch cannot.
import { ApiError, documentOf, key, messageIn, ROOT } from "../api.js";
import { only, path } from "./calls.js";

/**
 * Gives a name an artifact.
 *
 * @param current what the name means, a digest or null; if it means something else by then, the
 *   server refuses (412).
 * @param told gets { sent, total, seconds }, the last being those that are left, null at first;
 *   with `sent` equal to `total` while the server loads it.
 * @returns the profile's document.
 * @throws ApiError, or a DOMException where `signal` aborted it.
 */
export async function upload(name, file, current, told, signal) {
  const call = new XMLHttpRequest();
  await new Promise((resolve, reject) => {
    const began = performance.now();
    call.open("PUT", new URL(path(name), ROOT));
    if (key.value) call.setRequestHeader("Authorization", `Bearer ${key.value}`);
    call.setRequestHeader("Content-Type", "application/octet-stream");
    for (const [header, value] of Object.entries(only(current))) call.setRequestHeader(header, value);
    call.upload.onprogress = ({ loaded }) => told(progress(loaded, file.size, began));
    call.upload.onload = () => told({ sent: file.size, total: file.size, seconds: 0 });
    call.onload = resolve;
    call.onerror = () => reject(new ApiError(BROKEN, 0));
    call.onabort = () => reject(new DOMException("The upload was cancelled.", "AbortError"));
    signal.addEventListener("abort", () => call.abort());
    call.send(file);
  });
  if (call.status < 300) return documentOf(call.response);
  throw new ApiError(messageIn(call.response) || `The server answered ${call.status}.`, call.status);
}

const BROKEN = "The connection ended before the server answered; see whether it runs, then try again.";

function progress(sent, total, began) {
  const passed = (performance.now() - began) / 1000;
  return { sent, total, seconds: sent ? ((total - sent) * passed) / sent : null };
}

/** Of a file, in hex; null where the browser computes none: over HTTP, and from another machine. */
export async function sha256(file) {
  if (!crypto.subtle) return null;
  const found = await crypto.subtle.digest("SHA-256", await file.arrayBuffer());
  return [...new Uint8Array(found)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
