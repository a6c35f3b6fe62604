import { add, input, matMul, mul, reduceMean, reshape, sub, type Input, type Value } from "../graph/index.ts";
import type { RandomSource } from "../math/random.ts";
import type { GanShape } from "../nn/index.ts";

/** How the images of a batch are distorted, as inputs of a graph; see {@link drawDistortion}. */
export interface DistortionInputs {
  /** [rows, size, size]: which row of the image becomes each row. */
  readonly vertical: Input;
  /** [rows, size, size]: the same for columns. */
  readonly horizontal: Input;
  /** Factor about the image's mean, and what is added; [rows]. */
  readonly contrast: Input;
  readonly brightness: Input;
}

export function distortionInputs({ rows, imageSize }: GanShape, which: "real" | "fake"): DistortionInputs {
  const of = (name: string, ...shape: number[]): Input => input(`distort/${which}/${name}`, [rows, ...shape]);
  return {
    vertical: of("vertical", imageSize, imageSize),
    horizontal: of("horizontal", imageSize, imageSize),
    contrast: of("contrast"),
    brightness: of("brightness"),
  };
}

/**
 * Distorts images [rows, 1, size, size] so that gradients pass: flips and shifts as two products with matrices; then
 * contrast and brightness (Zhao et al., Differentiable Augmentation, 2020). What lies beyond the border is 0, mid-grey.
 */
export function distort(image: Value, given: DistortionInputs): Value {
  const [rows, , size] = image.shape as [number, number, number];
  const flat = reshape(image, [rows, size, size]);
  const moved = matMul(matMul(given.vertical, flat), given.horizontal);
  const perRow = (v: Value): Value => reshape(v, [rows, 1, 1]);
  const mean = reduceMean(moved, [1, 2], true);
  const toned = add(add(mean, mul(sub(moved, mean), perRow(given.contrast))), perRow(given.brightness));
  return reshape(toned, image.shape);
}

/** How strongly images are distorted; all are uniform in their range. */
export interface DistortionStrength {
  /** Fraction of the side, to whole pixels: between pixels images blur, and what blur hides no generator learns. */
  readonly shift: number;
  readonly contrast: number;
  readonly brightness: number;
}

export const usualDistortion: DistortionStrength = { shift: 0.1, contrast: 0.1, brightness: 0.1 };

/**
 * The numbers for one batch. Half of the images are mirrored along each axis; where real images are flipped, generated
 * ones are too.
 */
export function drawDistortion(
  { rows, imageSize: size }: GanShape,
  { shift, contrast, brightness }: DistortionStrength,
  random: RandomSource,
): Record<keyof DistortionInputs, Float32Array> {
  const symmetric = (by: number): number => (2 * random.uniform() - 1) * by;
  const vertical = new Float32Array(rows * size * size);
  const horizontal = new Float32Array(rows * size * size);
  const [contrasts, brightnesses] = [new Float32Array(rows), new Float32Array(rows)];
  for (let r = 0; r < rows; r++) {
    for (const matrix of [vertical, horizontal]) {
      const mirrored = random.uniform() < 0.5;
      const offset = Math.round(symmetric(shift) * size);
      for (let i = 0; i < size; i++) {
        const source = offset + (mirrored ? size - 1 - i : i);
        if (source < 0 || source >= size) continue;
        matrix[r * size * size + (matrix === vertical ? i * size + source : source * size + i)] = 1;
      }
    }
    contrasts[r] = 1 + symmetric(contrast);
    brightnesses[r] = symmetric(brightness);
  }
  return { vertical, horizontal, contrast: contrasts, brightness: brightnesses };
}
