/** A number with its 95 % interval; ends are null where there is none. */
export interface Estimate {
  readonly value: number;
  readonly low: number | null;
  readonly high: number | null;
}

/**
 * The mean over seeds, within the lowest and the highest end of their intervals; null where no seed has a value. Without
 * ends where a seed has none: those of the others would look narrower than what is known.
 */
export function meanOverSeeds(
  rows: readonly { readonly value: number | null; readonly low: number | null; readonly high: number | null }[],
): Estimate | null {
  const known = rows.filter(({ value }) => value !== null);
  if (known.length === 0) return null;
  const ends = known.filter(({ low, high }) => low !== null && high !== null);
  const bounded = ends.length === known.length;
  return {
    value: known.reduce((sum, { value }) => sum + value!, 0) / known.length,
    low: bounded ? Math.min(...ends.map(({ low }) => low!)) : null,
    high: bounded ? Math.max(...ends.map(({ high }) => high!)) : null,
  };
}
