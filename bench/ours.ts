/**
 * Our training step as a process that speaks the protocol of bench/peers/README.md: the whole loop that users run (draw,
 * tiles, clipping, noise, update, worker thread), held back before each step until the driver asks for one.
 */
import type { Model, ModelShape } from "../src/nn/index.ts";
import type { Batches, TrainingData } from "../src/training/index.ts";
import { answer, closedGate, readLine } from "./gate.ts";

// The package as it is published, without the memory that stripping types takes; `npm run bench` builds it first.
const built = new URL("../dist/", import.meta.url);
const load = (folder: string): Promise<unknown> => import(new URL(`${folder}/index.js`, built).href);
const { mnistCnn, parameterCount, resnet9, vit } = (await load("nn")) as typeof import("../src/nn/index.ts");
const { planPrivateTraining } = (await load("privacy")) as typeof import("../src/privacy/index.ts");
const { accumulateGraph, floatsOfUnit, startTeam, train } = (await load(
  "training",
)) as typeof import("../src/training/index.ts");

interface Setting {
  readonly channels: number;
  readonly imageSize: number;
  readonly outputs: number;
  readonly build: (shape: ModelShape) => Model;
}

const none = { kind: "none" } as const;
const settings: Readonly<Record<string, Setting>> = {
  resnet9: { channels: 1, imageSize: 224, outputs: 5, build: (shape) => resnet9(shape, { normalisation: none }) },
  vit: {
    channels: 1,
    imageSize: 224,
    outputs: 5,
    build: (shape) => vit(shape, { patch: 16, width: 192, depth: 12, heads: 3, normalisation: none }),
  },
  "mnist-cnn": { channels: 1, imageSize: 28, outputs: 10, build: mnistCnn },
};

const first = (await readLine())!;
const setting = settings[first["model"] as string]!;
const batch = (first["batch"] as number | undefined) ?? 32;
const threads = (first["threads"] as number | undefined) ?? 2;
const isPrivate = first["mode"] === "private";
const { channels, imageSize, outputs, build } = setting;
// The fixed part is empty here, so pixels are what the trainable part reads.
const modelFor = (rows: number): Model => build({ rows, channels, imageSize, outputs });

const pixels = channels * imageSize * imageSize;
const image = Float32Array.from({ length: pixels }, (_, i) => ((i * 2654435761) % 1000) / 500 - 1);
const targets = new Float32Array(batch * outputs);
for (let i = 0; i < batch; i++) targets[i * outputs + (i % outputs)] = 1;

const gate = closedGate();
const data: TrainingData = {
  units: Array.from({ length: batch }, (_, i) => [i]),
  targets,
  known: new Float32Array(batch * outputs).fill(1),
  outputs,
  rowShape: [channels, imageSize, imageSize],
  variants: 1,
  load: async (requests, out) => {
    await gate.pass();
    requests.forEach((_, i) => out.set(image, i * pixels));
  },
};
const steps = 100_000;
const batches: Batches = isPrivate
  ? {
      kind: "private",
      plan: planPrivateTraining({
        noiseMultiplier: 1,
        delta: 1e-5,
        sampling: { kind: "poisson" },
        expectedBatchSize: batch,
        publicCohortSize: batch,
        clipping: { kind: "flat", norm: 1 },
        steps,
      }),
    }
  : { kind: "shuffled", batchSize: batch, epochs: steps };

const floatsPerUnit = floatsOfUnit((units) =>
  accumulateGraph(modelFor(units), { kind: "classes" }, { kind: "plain" }, { units, views: 1 }),
);
await using team = await startTeam({ floatsPerStep: batch * floatsPerUnit, cores: threads });
const abort = new AbortController();
const running = train({
  engine: team.engine,
  helpers: team.helpers,
  modelFor,
  data,
  settings: {
    batches,
    views: 1,
    loss: { kind: "classes" },
    optimiser: { name: "sgd", learningRate: 0.01 },
    schedule: { kind: "constant" },
    averaging: null,
    seed: "bench",
    reproducible: false,
  },
  signal: abort.signal,
  onProgress: gate.stepped,
}).then(
  (result) => result,
  (error: unknown) => (abort.signal.aborted ? undefined : Promise.reject(error as Error)),
);
running.catch((error: unknown) => {
  answer({ error: String(error) });
  process.exit(1);
});
await gate.serve({ parameters: parameterCount(modelFor(1)) });
process.exit(0);
