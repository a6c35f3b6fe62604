import { expect, it } from "vitest";
import { attackerGuesswork, exactGuesswork, matchingPosterior, permanent } from "./guesswork.ts";

// per([[1,2],[3,4]]) = 1*4 + 2*3; the all-ones matrix has n! matchings.
it("permanent_isTheSumOverMatchings", () => {
  expect(permanent([1, 2, 3, 4], 2)).toBe(10);
  expect(permanent(new Float64Array(36).fill(1), 6)).toBe(720);
});

it("posteriorOfTwoImages_isTheirOdds", () => {
  // Two matchings, of weight 1*4 and 2*3.
  expect([...matchingPosterior([1, 2, 3, 4], 2)]).toEqual([0.4, 0.6, 0.6, 0.4]);
});

// With nothing known, the first row's column is uniform: guessing along the row takes (n + 1) / 2 on average.
it.each([2, 3, 5])("anIdealFunctionOf %i images_leavesFlatGuesswork", (n) => {
  const flat = new Float64Array(n * n).fill(1);
  expect(exactGuesswork(flat, n)).toBeCloseTo((n + 1) / 2, 9);
  for (const p of matchingPosterior(flat, n)) expect(p).toBeCloseTo(1 / n, 12);
});

it("certainty_takesOneGuess", () => {
  expect(exactGuesswork([1, 0, 0, 0, 1, 0, 0, 0, 1], 3)).toBe(1);
  expect(attackerGuesswork([9, 1, 1, 1, 8, 1, 1, 1, 7], [0, 1, 2])).toEqual({ ideal: 2, attacker: 1 });
  expect(attackerGuesswork([1, 9, 1, 1, 1, 1, 1, 1, 7], [0, 1, 2])).toEqual({ ideal: 2, attacker: 2 });
});
