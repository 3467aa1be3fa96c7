// Numbers, sizes and times as a person reads them.

export const short = (digest) => digest.slice(0, 12);

export function bytes(count) {
  const units = ["B", "KiB", "MiB", "GiB"];
  const step = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(count, 1)) / 10));
  const scaled = count / 1024 ** step;
  return `${step && scaled < 10 ? scaled.toFixed(1) : Math.round(scaled)} ${units[step]}`;
}

export function seconds(count) {
  const whole = Math.max(1, Math.ceil(count));
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

// To three places, and so that small ones keep two digits that say something.
export function number(value) {
  if (value === null || value === undefined) return "";
  const size = Math.abs(value);
  if (size > 0 && size < 0.01) return value.toPrecision(2);
  return size < 1000 ? value.toFixed(3) : value.toExponential(2);
}

export const interval = (ends) => (ends ? `${number(ends[0])} to ${number(ends[1])}` : "");

export function pValue(value) {
  if (value === null) return "";
  return value < 0.001 ? "< 0.001" : value.toFixed(3);
}

export const percent = (share) => `${(100 * share).toFixed(1)} %`;

export const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

// Unix time in seconds, in the reader's own zone.
export function time(unix) {
  return new Date(unix * 1000).toLocaleString(undefined, {
    dateStyle: "medium",
    timeStyle: "short",
  });
}
