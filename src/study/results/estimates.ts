/** A number with its 95 % interval; ends are null where there is none. */
export interface Estimate {
  readonly value: number;
  readonly low: number | null;
  readonly high: number | null;
}

/** The mean over seeds, within the lowest and the highest end of their intervals; null where no seed has a value. */
export function meanOverSeeds(
  rows: readonly { readonly value: number | null; readonly low: number | null; readonly high: number | null }[],
): Estimate | null {
  const known = rows.filter(({ value }) => value !== null);
  if (known.length === 0) return null;
  const ends = known.filter(({ low, high }) => low !== null && high !== null);
  return {
    value: known.reduce((sum, { value }) => sum + value!, 0) / known.length,
    low: ends.length > 0 ? Math.min(...ends.map(({ low }) => low!)) : null,
    high: ends.length > 0 ? Math.max(...ends.map(({ high }) => high!)) : null,
  };
}
