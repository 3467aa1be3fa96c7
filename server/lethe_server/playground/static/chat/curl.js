// A column's request as a command line, without the key.
import { key, ROOT } from "../api.js";

const word = (text) => `'${text.replaceAll("'", String.raw`'\''`)}'`;

export function curlOf({ selection, body }) {
  return [
    `curl ${word(new URL("v1/chat/completions", ROOT).href)}`,
    ...(key.value ? ['-H "Authorization: Bearer $LETHE_KEY"'] : []),
    `-H ${word("Content-Type: application/json")}`,
    `-H ${word(`X-Unlearning-Profile: ${selection}`)}`,
    `-d ${word(JSON.stringify(body, null, 2))}`,
  ].join(" \\\n  ");
}
