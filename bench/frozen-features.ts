/**
 * An epoch of training a head behind a frozen backbone: through the backbone each time, and on features computed once.
 * `node bench/frozen-features.ts [--model swin-small] [--image-size 128] [--patients 16]`. Both trainings have the same seed and
 * batches; their weights are compared.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { makePhantomCohort, openCohort } from "../src/cohort/index.ts";
import { architectureNamed, initialParameters, type Model } from "../src/nn/index.ts";
import { seededRandom } from "../src/math/random.ts";
import { startEngine } from "../src/runtime/index.ts";
import { freezeParameters, frozenNames, withFrozenBackbone } from "../src/study/freeze.ts";
import { openRows, prepareRows } from "../src/study/rows.ts";
import { train, type TrainingSettings } from "../src/training/index.ts";

const { values: flags } = parseArgs({
  options: {
    model: { type: "string", default: "swin-small" },
    "image-size": { type: "string", default: "128" },
    patients: { type: "string", default: "16" },
  },
});
const imageSize = Number(flags["image-size"]);
const dir = await mkdtemp(join(tmpdir(), "frozen-"));
try {
  await makePhantomCohort({ kind: "mass", patients: Number(flags.patients), seed: 1, out: join(dir, "c"), imageSize: 64 }); // prettier-ignore
  const cohort = await openCohort(join(dir, "c"));
  const target = cohort.target("malignant");
  const model = architectureNamed(flags.model).build({ rows: 1, channels: 1, imageSize, outputs: 1 });
  const values = initialParameters(model, seededRandom(1, "frozen"));
  const names = frozenNames(model, "features.*,norm.*");
  const frozen = Object.fromEntries(names.map((name) => [name, values[name]!]));
  const head = Object.fromEntries(Object.entries(values).filter(([name]) => !names.includes(name)));
  await using engine = await startEngine();
  const settings = (epochs: number): TrainingSettings => ({
    batches: { kind: "shuffled", batchSize: 8, epochs },
    views: 1,
    loss: { kind: "binary" },
    optimiser: { name: "sgd", learningRate: 0.1 },
    schedule: { kind: "constant" },
    averaging: null,
    seed: "1",
    reproducible: true,
  });
  const source = openRows(cohort, { channels: 1, imageSize });
  using _store = source.store;
  const units = cohort.imagesOf("train").map((i) => [i]);
  const common = { engine, cohort, targets: [target], source, units, architecture: flags.model, variants: 1 as const, augmentation: {} }; // prettier-ignore
  const seconds = async (work: () => Promise<unknown>): Promise<number> => {
    const started = performance.now();
    await work();
    return (performance.now() - started) / 1000;
  };

  let cached: Awaited<ReturnType<typeof prepareRows>> | undefined;
  const once = await seconds(async () => {
    cached = await prepareRows({ ...common, adapt: (m: Model) => withFrozenBackbone(m, frozen) });
  });
  const through = await prepareRows({ ...common, adapt: (m: Model) => freezeParameters(m, frozen) });
  const trainWith = (rows: typeof through, epochs: number) => train({ engine, ...rows, settings: settings(epochs), initial: head }); // prettier-ignore
  // An epoch is the difference of trainings of one and several, so that compiling does not count.
  const epochOf = async (rows: typeof through, more: number): Promise<number> => {
    const short = await seconds(() => trainWith(rows, 1));
    return Math.max(1e-9, ((await seconds(() => trainWith(rows, 1 + more))) - short) / more);
  };
  const [slow, fast] = [await epochOf(through, 2), await epochOf(cached!, 200)];
  const [a, b] = [(await trainWith(through, 2)).parameters, (await trainWith(cached!, 2)).parameters];
  const distance = Math.max(...Object.keys(b).flatMap((name) => [...b[name]!].map((v, i) => Math.abs(v - a[name]![i]!)))); // prettier-ignore
  const row = {
    ...{ model: flags.model, "image size": imageSize, images: units.length, "features once, s": once },
    ...{ "epoch through backbone, s": slow, "epoch on features, s": fast, "times faster": slow / fast },
    "largest difference of a weight": distance,
  };
  console.log(JSON.stringify(row, null, 2));
} finally {
  await rm(dir, { recursive: true, force: true });
}
