// Numbers and tokens as the page writes them.

export const percent = (logprob) => {
  const share = 100 * Math.exp(logprob);
  return share >= 99.95 ? "100 %" : share >= 0.1 ? `${share.toFixed(1)} %` : "< 0.1 %";
};

export const nats = (value) => `${value.toFixed(3)} nats`;

export const seconds = (ms) => `${(ms / 1000).toFixed(2)} s`;

/** A token's text with what cannot be seen made visible, between quotes. */
export const quoted = (text) =>
  `“${text.replaceAll("\n", "⏎").replaceAll("\t", "⇥").replaceAll(" ", "␣")}”`;

const SHADES = {
  none: () => 0,
  probability: (probability) => levels([0.9, 0.6, 0.3, 0.1], (edge) => probability < edge),
  divergence: (_, nats) => levels([0.05, 0.5, 1.5, 4], (edge) => nats > edge),
};

const levels = (edges, passes) => edges.filter(passes).length;

/** Which of five steps a token has, 0 to 4, the most conspicuous last. */
export const shadeOf = (kind, probability, nats) => SHADES[kind](probability, nats ?? 0);

/** What the legend says of the steps. */
export const LEGENDS = {
  none: [],
  probability: ["90 % and more", "60–90 %", "30–60 %", "10–30 %", "less than 10 %"],
  divergence: ["up to 0.05 nats", "0.05–0.5", "0.5–1.5", "1.5–4", "more than 4"],
};
