// What the server answered to the latest question: an earlier one's answer may come after it.
import { keysGiven } from "../api.js";
import { useEffect, useRef, useState } from "../ui.js";

/** A function that is `told(await asked)`, unless it is called again before the answer comes. */
export function useLatest() {
  const count = useRef(0);
  return async (asked, told) => {
    const mine = (count.current += 1);
    const answer = await asked;
    if (mine === count.current) told(answer);
  };
}

/**
 * The rows that `list` answers, as { rows, problem, load }: asked for when one of `inputs` changes,
 * and when a key is given, with which those that another one saw are gone.
 */
export function useRows(list, inputs = []) {
  const [found, setFound] = useState({});
  const latest = useLatest();
  const load = () => latest(answerOf(list), (answer) => setFound(({ rows }) => ({ rows, ...answer })));
  useEffect(() => setFound({}), [keysGiven.value]);
  useEffect(() => {
    load();
  }, [...inputs, keysGiven.value]);
  return { ...found, load };
}

async function answerOf(list) {
  try {
    return { rows: await list() };
  } catch (error) {
    return { problem: error.message };
  }
}
