/** Which patient is in which split: read from the table, or drawn by a seed, patient by patient. */
import { seededRandom } from "../math/random.ts";

/** Other spellings of the three usual names; any other name is kept as it is. */
const aliases: ReadonlyMap<string, string> = new Map([
  ["train", "train"],
  ["training", "train"],
  ["val", "val"],
  ["valid", "val"],
  ["validate", "val"],
  ["validation", "val"],
  ["dev", "val"],
  ["test", "test"],
  ["testing", "test"],
]);

/** "Validation" and "valid" to "val", "training" to "train"; what is not known stays. */
export function canonicalSplit(text: string): string {
  return aliases.get(text.toLowerCase()) ?? text;
}

export interface SplitFractions {
  readonly train: number;
  readonly val: number;
  readonly test: number;
}

/**
 * Draws a split for each patient so that each stratum is divided in the given fractions as nearly as whole patients
 * allow. `strata[i]` is the stratum of patient `patients[i]`; patients are told apart by their identifiers alone, so
 * the order of rows does not matter. The same seed and patients give the same split.
 */
export function drawSplits(
  patients: readonly string[],
  strata: readonly number[],
  { seed = 0, fractions = { train: 0.7, val: 0.15, test: 0.15 } }: { seed?: number; fractions?: SplitFractions } = {},
): Map<string, string> {
  const groups = Map.groupBy([...patients.keys()], (i) => strata[i]!);
  const names = Object.keys(fractions) as (keyof SplitFractions)[];
  const result = new Map<string, string>();
  // What rounding gave too much or too little in one stratum is made good in the next.
  const owed: Record<string, number> = { train: 0, val: 0, test: 0 };
  for (const [stratum, members] of [...groups].sort(([a], [b]) => a - b)) {
    const ids = members.map((i) => patients[i]!).sort();
    shuffle(ids, seededRandom(seed, "split", String(stratum)));
    for (const name of names) owed[name]! += fractions[name] * ids.length;
    for (const id of ids) {
      const name = names.reduce((a, b) => (owed[b]! > owed[a]! ? b : a));
      owed[name]! -= 1;
      result.set(id, name);
    }
  }
  return result;
}

function shuffle<T>(items: T[], random: { integer(n: number): number }): void {
  for (let i = items.length - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    [items[i], items[j]] = [items[j]!, items[i]!];
  }
}
