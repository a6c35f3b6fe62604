/** Class consistency: what a simple model learns from one set of images about the other. */
import { kernelRidge, smoothKernel, standardised, type Table } from "../../math/kernel-ridge.ts";
import { seededRandom } from "../../math/random.ts";
import { aurocOf } from "./memorisation.ts";
import { drawRows, drawWeights, percentileFigure, rowsOf, type Figure, type Sample } from "./sample.ts";

export interface Labelled {
  readonly sample: Sample;
  /** 0 or 1 for each row. */
  readonly labels: readonly number[];
}

export interface ConsistencyArm {
  readonly train: string;
  readonly test: string;
  readonly auroc: Figure | null;
  readonly trainImages: number;
  readonly testImages: number;
  readonly reason?: string;
}

const ridges = [3, 0.3, 0.03];
/** Kernels grow with the square. */
const mostImages = 1500;

/**
 * AUROC on `test` of kernel ridge regression fitted on `train`, features standardised by the training rows, ridge chosen on
 * a fifth of the training units; at most 1,500 images of each, drawn by units. The interval resamples the test's units.
 */
export function consistencyArm(
  names: { readonly train: string; readonly test: string },
  train: Labelled,
  test: Labelled,
  seed: number,
): ConsistencyArm {
  const random = seededRandom(seed, "judge", "consistency");
  const drawn = ({ sample, labels }: Labelled): Labelled => {
    const rows = drawRows(sample.units, mostImages, random);
    return { sample: rowsOf(sample, rows), labels: rows.map((row) => labels[row]!) };
  };
  const [fit, ask] = [drawn(train), drawn(test)];
  const counts = { trainImages: fit.labels.length, testImages: ask.labels.length };
  const oneClass = (labels: readonly number[]): boolean => labels.every((label) => label === labels[0]);
  if (oneClass(fit.labels) || oneClass(ask.labels))
    return { ...names, auroc: null, ...counts, reason: "one class only" };
  const table = stacked(fit.sample.table, ask.sample.table);
  const fitRows = [...fit.labels.keys()];
  const kernel = smoothKernel(standardised(table, fitRows));
  const labels = [...fit.labels, ...ask.labels];
  const predict = (from: readonly number[], to: readonly number[], ridge: number): number[] => [
    ...kernelRidge(kernel, table.rows, labels, { fit: from, ask: to, ridge }),
  ];
  const isHeld = (row: number): boolean => fit.sample.units[row]! % 5 === 0;
  const [kept, held] = [fitRows.filter((row) => !isHeld(row)), fitRows.filter(isHeld)];
  const scored = ridges.map((ridge) => ({ ridge, auroc: aurocAmong(predict(kept, held, ridge), held.map((r) => labels[r]!)) })); // prettier-ignore
  const best = scored.reduce((a, b) => (b.auroc > a.auroc ? b : a)).ridge;
  const asked = ask.labels.map((_, i) => fitRows.length + i);
  const scores = predict(fitRows, asked, best);
  const resampled = Array.from({ length: 500 }, () => {
    const weights = drawWeights(ask.sample.units, random);
    const rows = [...weights.keys()].flatMap((row) => Array.from({ length: weights[row]! }, () => row));
    return aurocAmong(
      rows.map((row) => scores[row]!),
      rows.map((row) => ask.labels[row]!),
    );
  });
  return { ...names, auroc: percentileFigure(aurocAmong(scores, ask.labels), resampled), ...counts };
}

/** NaN where a class is absent. */
const aurocAmong = (scores: readonly number[], labels: readonly number[]): number =>
  aurocOf(
    scores.filter((_, i) => labels[i] === 1),
    scores.filter((_, i) => labels[i] === 0),
  );

/** One table above another of the same columns. */
function stacked(a: Table, b: Table): Table {
  const data = new Float64Array(a.data.length + b.data.length);
  data.set(a.data);
  data.set(b.data, a.data.length);
  return { rows: a.rows + b.rows, columns: a.columns, data };
}
