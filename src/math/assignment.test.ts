import fc from "fast-check";
import { expect, it } from "vitest";
import { assign, assignBest } from "./assignment.ts";
import { seededRandom } from "./random.ts";

const total = (costs: ArrayLike<number>, columns: number, answer: ArrayLike<number>): number =>
  Array.from(answer, (j, i) => costs[i * columns + j]!).reduce((a, b) => a + b, 0);

/** The least cost over every injection, by trying them all. */
function exhaustive(costs: readonly number[], rows: number, columns: number): number {
  const go = (row: number, used: number): number => {
    if (row === rows) return 0;
    let best = Infinity;
    for (let j = 0; j < columns; j++)
      if (!(used & (1 << j))) best = Math.min(best, costs[row * columns + j]! + go(row + 1, used | (1 << j)));
    return best;
  };
  return go(0, 0);
}

it("assignment_isTheBestOfAllOfThem", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 0, max: 2 }), fc.integer(), (rows, more, seed) => {
      const columns = rows + more;
      const random = seededRandom(seed);
      const costs = Array.from({ length: rows * columns }, () => random.integer(21) - 10);
      const answer = assign(costs, rows, columns);
      expect(new Set(answer).size).toBe(rows);
      expect(total(costs, columns, answer)).toBe(exhaustive(costs, rows, columns));
    }),
  );
});

// scipy 1.x's documentation of linear_sum_assignment: [[4,1,3],[2,0,5],[3,2,2]] -> columns [1,0,2], cost 5.
it("assignment_agreesWithScipysExample", () => {
  expect([...assign([4, 1, 3, 2, 0, 5, 3, 2, 2], 3, 3)]).toEqual([1, 0, 2]);
  expect([...assignBest([-4, -1, -3, -2, 0, -5, -3, -2, -2], 3, 3)]).toEqual([1, 0, 2]);
});

it("assignment_refusesMoreRowsThanColumnsAndNaN", () => {
  expect(() => assign([1, 2], 2, 1)).toThrow("rows <= columns");
  expect(() => assign([NaN], 1, 1)).toThrow("not finite");
});
