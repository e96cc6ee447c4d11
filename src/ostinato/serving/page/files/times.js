// The times of a series' steps, where they are known: "1998-03-07", then every "7 days".

const DAY = 86_400_000;
const MILLISECONDS = { second: 1000, minute: 60_000, hour: 3_600_000, day: DAY, week: 7 * DAY };
const MONTHS = { month: 1, quarter: 3, year: 12 };

/**
 * What says the time of step t, from 0, in words; null where it cannot be known.
 *
 * @param start of the first step, such as "1998-03-07" or "2024-01-01 05:00".
 * @param step such as "7 days", "1 hour" or "month".
 */
export function timesOf(start, step) {
  const found = /^(?:(\d+) )?(\w+?)s?$/.exec(step ?? "");
  if (!start || !found || !/^\d{4}-\d\d-\d\d/.test(start)) return null;
  const [count, unit] = [Number(found[1] ?? 1), found[2]];
  const first = new Date(`${start.slice(0, 10)}T${/\d\d:\d\d(:\d\d)?/.exec(start.slice(10))?.[0] ?? "00:00"}Z`);
  if (Number.isNaN(first.getTime())) return null;
  const size = unit in MILLISECONDS ? count * MILLISECONDS[unit] : unit in MONTHS ? count * MONTHS[unit] * 30 * DAY : null;
  if (size === null) return null;
  const parts = size < DAY ? { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }
    : size < 28 * DAY ? { day: "numeric", month: "short", year: "numeric" }
      : size < 300 * DAY ? { month: "short", year: "numeric" } : { year: "numeric" };
  const words = new Intl.DateTimeFormat("en-GB", { ...parts, timeZone: "UTC" });
  return (t) => {
    if (!(unit in MONTHS)) return words.format(new Date(first.getTime() + t * size));
    const moved = new Date(first);
    moved.setUTCMonth(first.getUTCMonth() + t * count * MONTHS[unit]);
    return words.format(moved);
  };
}
