// Where a profile edits, in few words.

// From "layers.3.mlp", ... to [["mlp", "3–5, 9"], ...].
export function bySort(sites) {
  const layers = new Map();
  for (const site of sites) {
    const [, layer, hook] = site.match(/^layers\.(\d+)\.(.+)$/) ?? [null, NaN, site];
    layers.set(hook, [...(layers.get(hook) ?? []), Number(layer)]);
  }
  return [...layers].map(([hook, found]) => [hook, ranges(found)]);
}

export const inShort = (sites) =>
  bySort(sites)
    .map(([hook, layers]) => `${hook} ${layers}`)
    .join("; ");

function ranges(numbers) {
  const runs = [];
  for (const number of [...numbers].sort((one, other) => one - other)) {
    const last = runs.at(-1);
    if (last && number === last[1] + 1) last[1] = number;
    else runs.push([number, number]);
  }
  return runs.map(([from, to]) => (from === to ? `${from}` : `${from}–${to}`)).join(", ");
}
