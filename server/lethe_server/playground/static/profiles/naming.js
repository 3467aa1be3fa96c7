// What a profile may be called, and what a file suggests.

const NAME = /^[a-z0-9][a-z0-9._-]{0,63}$/;

export const NAME_PATTERN = "[a-z0-9][a-z0-9._\\-]{0,63}";

export const isName = (text) => NAME.test(text) && text !== "base";

export function nameOf(file) {
  const plain = file.replace(/\.safetensors$/i, "").toLowerCase();
  const found = plain.replace(/[^a-z0-9._-]+/g, "-").replace(/^[^a-z0-9]+/, "");
  return found.slice(0, 64).replace(/[^a-z0-9]+$/, "");
}
