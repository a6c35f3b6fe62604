/** Which groups a release may show. */

import type { Group } from "./groups.ts";

/** Why a group is left out of a release: it is small, or it would give a small one away. */
export type Suppression = "small" | "complement";

/**
 * Finds the groups that a release must not show, given the patients of each: those with fewer than `minimum` patients, and
 * further ones, smallest first, until what can be had by subtracting the shown groups from their total is itself at
 * least `minimum` patients and of at least two groups. In an intersection that holds along every line: within each
 * value of each column, and over all.
 * Returns one entry a group, null where it may be shown.
 * Source: cell suppression with complements, Hundepool et al. 2012, Statistical Disclosure Control, chapter 4.
 */
export function suppressed(
  groups: readonly Group[],
  patients: readonly number[],
  minimum: number,
): (Suppression | null)[] {
  const result = patients.map((n): Suppression | null => (n < minimum ? "small" : null));
  const lines = linesOf(groups);
  // Leaving out a group along one line can expose another; every round leaves out at least one more, so it ends.
  for (let changed = true; changed;) {
    changed = false;
    for (const line of lines) {
      const hidden = line.filter((i) => result[i] !== null);
      const total = hidden.reduce((sum, i) => sum + patients[i]!, 0);
      if (hidden.length === 0 || (hidden.length > 1 && total >= minimum)) continue;
      const next = line.filter((i) => result[i] === null).toSorted((i, j) => patients[i]! - patients[j]!)[0];
      if (next === undefined) continue;
      result[next] = "complement";
      changed = true;
    }
  }
  return result;
}

/** What a release says in place of the numbers. */
export function suppressedReason(how: Suppression, minimumPatients: number): string {
  return how === "small"
    ? `suppressed: fewer than ${minimumPatients} patients`
    : "suppressed: subtraction would show a group of too few patients";
}

/** Indices of groups whose totals are shown elsewhere: each column, and each value within an intersection. */
function linesOf(groups: readonly Group[]): number[][] {
  const lines = new Map<string, number[]>();
  const add = (key: string, i: number) => lines.set(key, [...(lines.get(key) ?? []), i]);
  groups.forEach(({ column, parts }, i) => {
    add(column, i);
    if (parts.length > 1) parts.forEach((part, k) => add(JSON.stringify([column, k, part]), i));
  });
  return [...lines.values()];
}
