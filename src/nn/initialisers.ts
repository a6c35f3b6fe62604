import type { RandomSource } from "../math/random.ts";
import { sizeOf, type Shape } from "../graph/index.ts";

/** Fresh values for a parameter, row-major. */
export type Initialiser = (shape: Shape, random: RandomSource) => Float32Array;

const filled = (shape: Shape, next: () => number): Float32Array => Float32Array.from({ length: sizeOf(shape) }, next);

export const zeros: Initialiser = (shape) => new Float32Array(sizeOf(shape));
export const ones: Initialiser = (shape) => new Float32Array(sizeOf(shape)).fill(1);

/** Inputs of one output of a weight [out, in, ...kernel]. */
const fanIn = (shape: Shape): number => sizeOf(shape.slice(1));
/** Outputs that one input of a weight [out, in, ...kernel] reaches. */
const fanOut = (shape: Shape): number => shape[0]! * sizeOf(shape.slice(2));

/** Uniform on +-1 / sqrt(fan), PyTorch's default for dense and convolution weights and biases. */
export const uniformFan =
  (fan?: number): Initialiser =>
  (shape, random) => {
    const bound = 1 / Math.sqrt(fan ?? fanIn(shape));
    return filled(shape, () => (2 * random.uniform() - 1) * bound);
  };

/** Normal with variance 2 / fan (He et al. 2015); `out` as torchvision's ResNets. */
export const kaimingNormal =
  (mode: "in" | "out" = "in"): Initialiser =>
  (shape, random) => {
    const deviation = Math.sqrt(2 / (mode === "in" ? fanIn(shape) : fanOut(shape)));
    return filled(shape, () => random.gaussian() * deviation);
  };

/** Normal with the given deviation, redrawn outside two deviations; the usual choice for transformers is 0.02. */
export const truncatedNormal =
  (deviation: number): Initialiser =>
  (shape, random) =>
    filled(shape, () => {
      for (;;) {
        const z = random.gaussian();
        if (Math.abs(z) <= 2) return z * deviation;
      }
    });

/** Normal with the given mean and deviation, DCGAN's choice (Radford et al. 2016). */
export const normal =
  (deviation: number, mean = 0): Initialiser =>
  (shape, random) =>
    filled(shape, () => mean + deviation * random.gaussian());
