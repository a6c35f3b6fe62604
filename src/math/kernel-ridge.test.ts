import { expect, it } from "vitest";
import { kernelRidge, linearKernel, smoothKernel, standardised, type Table } from "./kernel-ridge.ts";

const table = (rows: readonly (readonly number[])[]): Table => ({
  rows: rows.length,
  columns: rows[0]!.length,
  data: Float64Array.from(rows.flat()),
});
const points = table([
  [0.5, -1.2],
  [1.5, 0.3],
  [-0.7, 0.8],
  [0.1, 2],
  [-1.4, -0.6],
  [2.2, 1.1],
]);
const targets = [1, 0, 0, 1, 1, 0];

// numpy 2: K = X X'/2; m = mean(y[:4]); m + K[4:, :4] @ inv(K[:4, :4] + .3 I) @ (y[:4] - m)
it("linearPredictions_areThoseOfTheClosedForm", () => {
  const predicted = kernelRidge(linearKernel(points), 6, targets, { fit: [0, 1, 2, 3], ask: [4, 5], ridge: 0.3 });
  expect(predicted[0]).toBeCloseTo(0.5584566127099067, 8);
  expect(predicted[1]).toBeCloseTo(0.40428792421999127, 8);
});

// numpy 2: the same with K + exp(-(|x|^2 + |y|^2 - 2 x'y) / (2 * 2))
it("smoothPredictions_areThoseOfTheClosedForm", () => {
  const predicted = kernelRidge(smoothKernel(points), 6, targets, { fit: [0, 1, 2, 3], ask: [4, 5], ridge: 0.3 });
  expect(predicted[0]).toBeCloseTo(0.36845985568137485, 8);
  expect(predicted[1]).toBeCloseTo(0.23754600548010318, 8);
});

it("columns_areStandardisedByTheReferenceRows_andConstantsVanish", () => {
  const { data } = standardised(
    table([
      [1, 7, 4],
      [3, 7, NaN],
      [11, 9, 6],
    ]),
    [0, 1],
  );
  expect([...data]).toEqual([-1, 0, 0, 1, 0, 0, 9, 0, 0]);
});
