import { add, input, matMul, mul, reduceMean, reshape, scalar, sub, type Input, type Value } from "../graph/index.ts";
import type { RandomSource } from "../math/random.ts";
import type { GanShape } from "../nn/index.ts";

/** How the images of a batch are distorted, as inputs of a graph; see {@link drawDistortion}. */
export interface DistortionInputs {
  /** [rows, size, size]: which row of the image, or mix of two, becomes each row. */
  readonly vertical: Input;
  /** [rows, size, size]: the same for columns. */
  readonly horizontal: Input;
  /** Factor about the image's mean, and what is added; [rows]. */
  readonly contrast: Input;
  readonly brightness: Input;
  /** What is cut out: the product of these, [rows, size] each. */
  readonly cutRows: Input;
  readonly cutColumns: Input;
}

export function distortionInputs({ rows, imageSize }: GanShape, which: "real" | "fake"): DistortionInputs {
  const of = (name: string, ...shape: number[]): Input => input(`distort/${which}/${name}`, [rows, ...shape]);
  return {
    vertical: of("vertical", imageSize, imageSize),
    horizontal: of("horizontal", imageSize, imageSize),
    contrast: of("contrast"),
    brightness: of("brightness"),
    cutRows: of("cutRows", imageSize),
    cutColumns: of("cutColumns", imageSize),
  };
}

/**
 * Distorts images [rows, 1, size, size] so that gradients pass: flips, shifts and small changes of size as two products
 * with matrices; then contrast, brightness, and a square cut out (Zhao et al., Differentiable Augmentation, 2020). What
 * lies beyond the border is 0, mid-grey.
 */
export function distort(image: Value, given: DistortionInputs): Value {
  const [rows, , size] = image.shape as [number, number, number];
  const flat = reshape(image, [rows, size, size]);
  const moved = matMul(matMul(given.vertical, flat), given.horizontal);
  const perRow = (v: Value): Value => reshape(v, [rows, 1, 1]);
  const mean = reduceMean(moved, [1, 2], true);
  const toned = add(add(mean, mul(sub(moved, mean), perRow(given.contrast))), perRow(given.brightness));
  const hole = matMul(reshape(given.cutRows, [rows, size, 1]), reshape(given.cutColumns, [rows, 1, size]));
  return reshape(mul(toned, sub(scalar(1), hole)), image.shape);
}

/** How strongly images are distorted; all are uniform in their range. */
export interface DistortionStrength {
  /** Fraction of the side. */
  readonly shift: number;
  /** Enlargement or reduction. */
  readonly scale: number;
  readonly contrast: number;
  readonly brightness: number;
  /** Side of the hole, as a fraction. */
  readonly cut: number;
}

export const usualDistortion: DistortionStrength = {
  shift: 0.1,
  scale: 0.1,
  contrast: 0.3,
  brightness: 0.3,
  cut: 0.35,
};

/**
 * The numbers for one batch. `flips` mirrors half of the images along each axis; where real images are flipped, generated
 * ones are too.
 */
export function drawDistortion(
  { rows, imageSize: size }: GanShape,
  { shift, scale, contrast, brightness, cut }: DistortionStrength,
  random: RandomSource,
): Record<keyof DistortionInputs, Float32Array> {
  const symmetric = (by: number): number => (2 * random.uniform() - 1) * by;
  const vertical = new Float32Array(rows * size * size);
  const horizontal = new Float32Array(rows * size * size);
  const [contrasts, brightnesses] = [new Float32Array(rows), new Float32Array(rows)];
  const [cutRows, cutColumns] = [new Float32Array(rows * size), new Float32Array(rows * size)];
  const hole = Math.round(cut * size);
  for (let r = 0; r < rows; r++) {
    const zoom = Math.exp(symmetric(Math.log1p(scale)));
    for (const [matrix, along] of [
      [vertical, "rows"],
      [horizontal, "columns"],
    ] as const) {
      const flip = random.uniform() < 0.5 ? -1 : 1;
      const offset = symmetric(shift) * size;
      const centre = (size - 1) / 2;
      for (let i = 0; i < size; i++) {
        const source = centre + offset + (flip * (i - centre)) / zoom;
        const low = Math.floor(source);
        for (const [at, share] of [
          [low, 1 - (source - low)],
          [low + 1, source - low],
        ] as const)
          if (at >= 0 && at < size && share > 0)
            matrix[r * size * size + (along === "rows" ? i * size + at : at * size + i)]! += share;
      }
    }
    contrasts[r] = 1 + symmetric(contrast);
    brightnesses[r] = symmetric(brightness);
    for (const cuts of [cutRows, cutColumns]) {
      const from = random.integer(size + hole) - hole;
      for (let i = Math.max(0, from); i < Math.min(size, from + hole); i++) cuts[r * size + i] = 1;
    }
  }
  return {
    vertical,
    horizontal,
    contrast: contrasts,
    brightness: brightnesses,
    cutRows,
    cutColumns,
  };
}
