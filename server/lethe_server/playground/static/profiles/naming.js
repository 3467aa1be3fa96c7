// What a profile may be called, and what a file suggests.
import { isSpelledRight } from "../parts/name_field.js";

export const isName = (text) => isSpelledRight(text) && text !== "base";

export function nameOf(file) {
  const plain = file.replace(/\.safetensors$/i, "").toLowerCase();
  const found = plain.replace(/[^a-z0-9._-]+/g, "-").replace(/^[^a-z0-9]+/, "");
  return found.slice(0, 64).replace(/[^a-z0-9]+$/, "");
}
