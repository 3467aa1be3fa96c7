// Asks again and again while the page is looked at: never twice at once, and less often while
// nothing but errors comes back.

const LONGEST = 60_000;

// Calls ask(signal), awaits it, and tells told({ value }) or told({ error, seconds }); `every` in
// milliseconds. Returns a function that ends it.
export function poll(ask, told, every) {
  const ended = new AbortController();
  run(ask, told, every, ended.signal);
  return () => ended.abort();
}

async function run(ask, told, every, signal) {
  let failures = 0;
  while (!signal.aborted) {
    let wait = every;
    try {
      const value = await ask(signal);
      failures = 0;
      if (!signal.aborted) told({ value });
    } catch (error) {
      failures += 1;
      wait = Math.min(LONGEST, every * 2 ** failures);
      if (!signal.aborted) told({ error, seconds: wait / 1000 });
    }
    await pause(wait, signal);
    while (document.hidden && !signal.aborted) await pause(LONGEST, signal);
  }
}

// Ends early when the page is looked at again, or when all of it ends.
function pause(milliseconds, signal) {
  return new Promise((resolve) => {
    const over = new AbortController();
    const end = () => {
      clearTimeout(timer);
      over.abort();
      resolve();
    };
    const timer = setTimeout(end, milliseconds);
    const until = { signal: over.signal };
    document.addEventListener("visibilitychange", () => document.hidden || end(), until);
    signal.addEventListener("abort", end, until);
  });
}
