// Server-sent events of a response, as JSON documents.
import { createParser } from "../vendor/eventsource-parser.js";

/** Calls `take` with each document of a body until "[DONE]" or its end. */
export async function documents(body, take) {
  const parser = createParser({
    onEvent: ({ data }) => {
      if (data !== "[DONE]") take(JSON.parse(data));
    },
  });
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    parser.feed(value);
  }
}
