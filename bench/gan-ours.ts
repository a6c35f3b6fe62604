/**
 * One whole step of the class-conditional DCGAN of 128 x 128 (arXiv 2407.12669, instance norm) as a process that speaks the
 * protocol of bench/peers/README.md: the discriminator on real images (in mode `private` each clipped, with noise) and on
 * generated ones, then the generator.
 */
import type { GanSettings } from "../src/synthesis/index.ts";
import { answer, closedGate, readLine } from "./gate.ts";

const built = new URL("../dist/", import.meta.url);
const load = (folder: string): Promise<unknown> => import(new URL(`${folder}/index.js`, built).href);
const { mcgan, parameterCount } = (await load("nn")) as typeof import("../src/nn/index.ts");
const { planPrivateTraining } = (await load("privacy")) as typeof import("../src/privacy/index.ts");
const { startEngine } = (await load("runtime")) as typeof import("../src/runtime/index.ts");
const { trainGan } = (await load("synthesis")) as typeof import("../src/synthesis/index.ts");

const first = (await readLine())!;
const batch = first["batch"] as number;
const threads = first["threads"] as number;
const steps = 100_000;
const imageSize = 128;
const optimiser = { name: "adam", learningRate: 1e-4, beta1: 0.5, beta2: 0.999 } as const;
const settings: GanSettings = {
  batches:
    first["mode"] === "private"
      ? {
          kind: "private",
          plan: planPrivateTraining({
            ...{ noiseMultiplier: 1, delta: 1e-5, steps, expectedBatchSize: batch, publicCohortSize: batch },
            sampling: { kind: "poisson" },
            clipping: { kind: "flat", norm: 1 },
          }),
        }
      : { kind: "shuffled", batchSize: batch, epochs: steps },
  views: 1,
  loss: { kind: "binary" },
  optimiser,
  schedule: { kind: "constant" },
  averaging: null,
  seed: "bench",
  reproducible: false,
  gan: {
    ...{ imageSize, classes: 2, lossName: "bce", label: [0.7, 1.2], fakes: batch, generatorOptimiser: optimiser },
    ...{ slope: { atReal: 0, atFake: 0, every: 1 }, gradientPenalty: 10, instanceNoise: 0, distortion: null },
    discriminatorSteps: 1,
  },
};

const gate = closedGate();
const image = Float32Array.from({ length: imageSize ** 2 }, (_, i) => ((i * 2654435761) % 1000) / 1000);
await using engine = await startEngine({ threads });
trainGan({
  engine,
  settings,
  model: "mcgan-instance",
  sheets: 1,
  data: {
    units: Array.from({ length: batch }, (_, i) => [i]),
    classOf: (i) => i % 2,
    load: async (requests, out) => {
      await gate.pass();
      requests.forEach((_, i) => out.set(image, i * image.length));
    },
  },
  onProgress: gate.stepped,
}).catch((error: unknown) => {
  answer({ error: String(error) });
  process.exit(1);
});
const shape = { rows: 1, classes: 2, imageSize };
await gate.serve({ parameters: parameterCount(mcgan("instance").discriminator(shape)) });
process.exit(0);
