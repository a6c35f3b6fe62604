/** What synthetic images are worth for training, with and without privacy, against controls that could explain it away. */
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { openCohort, requireBothClasses, type Cohort, type Store, type Target } from "../cohort/index.ts";
import { LeadglassError } from "../errors.ts";
import { repeatedMetric, type RepeatedMetric } from "../evaluation/index.ts";
import { graphOf, sizeOf } from "../graph/index.ts";
import { lower } from "../graph/lower.ts";
import { seededRandom } from "../math/random.ts";
import { architectureNamed, hasFixedFeatures } from "../nn/index.ts";
import { spent, type DpPlan } from "../privacy/index.ts";
import { startEngine, type Engine } from "../runtime/index.ts";
import { writeAtomically } from "../training/checkpoint.ts";
import { train, type TrainingResult } from "../training/index.ts";
import { appendToCohortLedger, ledgerForRun } from "./cohort-ledger.ts";
import { openRows, predictImages, prepareRows, type PreparedData, type RowSource } from "./rows.ts";
import { codeVersion } from "./run-folder.ts";
import { chooseSettings } from "./settings.ts";
import { planStrategy, pooledRows, strategies, type Strategy } from "./strategies.ts";
import { originEntry } from "./synthetic-origin.ts";

export interface CompareSyntheticRequest {
  readonly cohort: string;
  readonly synthetic: string;
  readonly target: string;
  readonly out: string;
  /** By default the model that `train` takes for this cohort under privacy. */
  readonly model?: string;
  readonly epsilons?: readonly number[];
  readonly delta?: number;
  /** How often each arm is trained. */
  readonly seeds?: number;
  /** What the exact gradient beside the pool counts, against the pool's. */
  readonly weight?: number;
  readonly signal?: AbortSignal;
  readonly onNote?: (line: string) => void;
  readonly onProgress?: (stage: string, done: number, total: number) => void;
}

/** One row of the table. */
export interface SyntheticArm {
  readonly name: string;
  readonly about: string;
  /** What was asked for; null without privacy. */
  readonly epsilon: number | null;
  /** What training this arm costs each unit of the real cohort; it says nothing of the generator. */
  readonly privacy: {
    readonly epsilon: number;
    readonly delta: number;
    readonly unit: "patient" | "image";
    readonly noiseMultiplier: number;
    readonly samplingProbability: number;
  } | null;
  readonly steps: number;
  /** Units of the pool. */
  readonly units: number;
  readonly validation: RepeatedMetric | null;
  /** Mean AUROC over trainings with a 95 % interval, resampled by patient; its difference to the arm named in `against`. */
  readonly test: RepeatedMetric;
  readonly against: string | null;
}

export interface CompareSyntheticReport {
  readonly results: string;
  readonly target: string;
  readonly model: string;
  readonly seeds: number;
  readonly synthetic: number;
  /** What stands behind the synthetic images, and so beside the epsilon of every arm that saw them. */
  readonly generator: string;
  readonly arms: readonly SyntheticArm[];
}

/** What is kept of an arm; scores are of patients, for the owner alone. */
interface Done {
  readonly facts: Pick<SyntheticArm, "privacy" | "steps" | "units">;
  /** One array a training. */
  readonly scores: { readonly val: readonly number[][]; readonly test: readonly number[][] };
}

const judged = ["val", "test"] as const;

/**
 * Trains and tests every strategy on one cohort: without privacy and at each epsilon, several times. Learning rates and
 * batches are those that `train` chooses from sizes and budget; none is searched for on the validation patients. No model
 * is kept. What is done is kept in `out`, so that a comparison that was stopped goes on.
 * Throws LG-COHORT-..., LG-USAGE-001, LG-TRAIN-002 (another comparison's folder), LG-RUNTIME-004 (cancelled; resumable).
 */
export async function compareSynthetic(request: CompareSyntheticRequest): Promise<CompareSyntheticReport> {
  const { out, seeds = 3, epsilons = [1, 6, 12, 20, 60], delta = 1e-4, weight = 1 } = request;
  const [cohort, synthetic] = [await openCohort(request.cohort), await openCohort(request.synthetic)];
  const target = cohort.target(request.target);
  // A target like sex=F is a column of zeros and ones among the images that synth sample draws.
  const twin = synthetic.target(target.name.replaceAll("=", " is "));
  requireBothClasses(cohort, target, "train");
  requireBothClasses(cohort, target, "test");
  const images = synthetic.records.flatMap((_, i) => (twin.present[i] === 1 ? [i] : []));
  const choices = { ...(request.model === undefined ? {} : { model: request.model }), delta };
  const size = { units: cohort.patientsOf("train").length, images: cohort.imagesOf("train").length };
  const model = chooseSettings({ ...choices, epsilon: 8 }, { ...size, medium: cohort.medium, framing: cohort.framing }, true).architecture; // prettier-ignore
  const kept = join(out, "comparison.json");
  const identity = JSON.stringify([cohort.fingerprint, synthetic.fingerprint, target.name, model, delta, seeds, weight]); // prettier-ignore
  await mkdir(out, { recursive: true });
  const done = await finishedArms(kept, identity);
  await enter(request, cohort, synthetic);

  const wanted = [undefined, ...epsilons].flatMap((epsilon) =>
    strategies
      .filter((strategy) => epsilon !== undefined || !strategy.sampled)
      .map((strategy) => ({ strategy, epsilon, key: `${strategy.name}, ${epsilon ?? "open"}` })),
  );
  if (wanted.some(({ key }) => !done[key])) {
    await using engine = await startEngine();
    const material = await prepare({ engine, cohort, synthetic, targets: [target, twin], images, model, onProgress: request.onProgress }); // prettier-ignore
    for (const [at, { strategy, epsilon, key }] of wanted.entries()) {
      if (done[key]) continue;
      request.onProgress?.("training", at, wanted.length);
      const training = { model, delta, ...(epsilon === undefined ? { delta: undefined } : { epsilon }) };
      done[key] = await trainStrategy(strategy, { ...material, engine, choices: training, seeds, weight, signal: request.signal }); // prettier-ignore
      await writeAtomically(kept, JSON.stringify({ identity, done }));
    }
  }

  const rows = (split: string): number[] =>
    cohort.splits.includes(split) ? cohort.imagesOf(split).filter((i) => target.present[i] === 1) : [];
  const truth = Object.fromEntries(
    judged.map((split) => [
      split,
      {
        labels: rows(split).map((i) => target.labels[i]!),
        patients: rows(split).map((i) => cohort.records[i]!.patientId),
      },
    ]),
  );
  const metricOf = (split: (typeof judged)[number], own: Done, other: Done | undefined): RepeatedMetric | null =>
    truth[split]!.labels.length === 0
      ? null
      : repeatedMetric({ ...truth[split]!, metric: "auroc", seed: 1, scores: own.scores[split], against: other?.scores[split] ?? [] }); // prettier-ignore
  return {
    results: kept,
    target: target.name,
    model,
    seeds,
    synthetic: images.length,
    generator: generatorText(synthetic, cohort),
    arms: wanted.map(({ strategy: { name, about, against }, epsilon, key }): SyntheticArm => {
      const other = against === undefined ? undefined : done[`${against}, ${epsilon ?? "open"}`];
      return {
        ...{ name, about, epsilon: epsilon ?? null, against: against ?? null, ...done[key]!.facts },
        validation: metricOf("val", done[key]!, other),
        test: metricOf("test", done[key]!, other)!,
      };
    }),
  };
}

function generatorText({ synthetic: origin }: Cohort, { fingerprint }: Cohort): string {
  if (origin === null)
    return "NOT ACCOUNTED: nothing says which generator drew the synthetic images, nor what it cost the patients it learned from";
  const { privacy, insecureSeed, cohort } = origin;
  if (privacy === null) return `NOT ACCOUNTED: the generator (${origin.model}) was trained without privacy`;
  const cost = `epsilon ${privacy.epsilon} at delta ${privacy.delta} for each ${privacy.unit}`;
  if (insecureSeed) return `NOT ACCOUNTED: the generator's noise (${cost}) came from a seed`;
  return cohort === fingerprint
    ? `the generator (${origin.model}) cost the same patients ${cost}: it comes on top of the epsilon of every arm that saw its images`
    : `the generator (${origin.model}) cost other patients ${cost}`;
}

async function finishedArms(path: string, identity: string): Promise<Record<string, Done>> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return {};
  const before = JSON.parse(text) as { identity: string; done: Record<string, Done> };
  if (before.identity === identity) return before.done;
  throw new LeadglassError("LG-TRAIN-002", `${path}: a comparison of something else`, { hint: "Give another --out." });
}

async function enter({ out }: CompareSyntheticRequest, cohort: Cohort, synthetic: Cohort): Promise<void> {
  const { fingerprint: cohortFingerprint } = cohort;
  const path = await ledgerForRun(cohortFingerprint, { out: join(out, "comparison") });
  const what = "test AUROC of models trained with and without synthetic images, for a comparison; no model was kept";
  await appendToCohortLedger(path, (before) => {
    if (before.some((e) => e.kind === "owner-only" && e.what === what)) return [];
    const at = { codeVersion, at: new Date().toISOString() };
    const origin = synthetic.synthetic ? [{ ...originEntry(synthetic.synthetic, cohortFingerprint, "comparison of strategies"), ...at }] : []; // prettier-ignore
    return [{ kind: "owner-only", cohortFingerprint, what, ...at }, ...origin];
  });
}

/** Everything that arms are trained and judged on, its fixed features computed once. */
interface Material {
  /** All labelled real images. */
  readonly real: PreparedData;
  readonly synthetic: PreparedData;
  readonly noise: PreparedData;
  readonly units: Readonly<Record<"patient" | "image", readonly (readonly number[])[]>>;
  /** What was trained before on images that are nobody's, by kind and seed: it is the same at every epsilon. */
  readonly pretrained: Map<string, TrainingResult>;
  readonly score: (
    parameters: Readonly<Record<string, Float32Array>>,
  ) => Promise<Record<(typeof judged)[number], number[]>>;
}

async function prepare({
  engine,
  cohort,
  synthetic,
  targets: [target, twin],
  images,
  model,
  onProgress,
}: {
  engine: Engine;
  cohort: Cohort;
  synthetic: Cohort;
  targets: readonly [Target, Target];
  images: readonly number[];
  model: string;
  onProgress: CompareSyntheticRequest["onProgress"];
}): Promise<Material> {
  const { imageSize, channels, variants, augmentation, mirror } = chooseSettings(
    { model, epsilon: 8 },
    { units: images.length, images: images.length, medium: cohort.medium },
    true,
  );
  const form = { channels, imageSize: imageSize ?? architectureNamed(model).imageSize };
  const source = openRows(cohort, form);
  using _real = source.store;
  const drawn = openRows(synthetic, form);
  using _drawn = drawn.store;
  const common = { engine, architecture: model, variants, augmentation };
  const single = (all: readonly number[]) => all.map((i) => [i]);
  const labelled = (split: string): number[] =>
    cohort.splits.includes(split) ? cohort.imagesOf(split).filter((i) => target.present[i] === 1) : [];
  const whole = ["train", ...judged].flatMap(labelled);
  const said = (stage: string) => (onProgress ? { onProgress: (n: number, of: number) => onProgress(stage, n, of) } : {}); // prettier-ignore
  const real = await prepareRows({ ...common, cohort, targets: [target], source, units: single(whole), ...said("real") }); // prettier-ignore
  const nobody = { ...common, cohort: synthetic, targets: [twin], units: single(images) };
  const made = await prepareRows({ ...nobody, source: drawn, ...said("synthetic") });
  const noise = await prepareRows({ ...nobody, source: noiseRows(drawn), ...said("noise") });
  const patients = cohort.patientsOf("train").map((p) => p.images.filter((i) => target.present[i] === 1));
  const score: Material["score"] = async (parameters) => {
    const scores = {} as Record<(typeof judged)[number], number[]>;
    for (const split of judged)
      scores[split] = hasFixedFeatures(model)
        ? await scoresOfFeatures(engine, real, labelled(split), parameters)
        : Array.from(await predictImages({ engine, source, architecture: model, outputs: 1, weights: parameters, mirror, images: labelled(split) })); // prettier-ignore
    return scores;
  };
  return {
    ...{ real, synthetic: made, noise, score, pretrained: new Map<string, TrainingResult>() },
    units: { patient: patients.filter((p) => p.length > 0), image: single(labelled("train")) },
  };
}

/** Images of independent grey pixels in place of those of a store. */
function noiseRows(source: RowSource): RowSource {
  const size = sizeOf(source.inputShape);
  const read: Store["read"] = (index) => {
    using random = seededRandom(index, "noise image");
    return Promise.resolve(Float32Array.from({ length: size }, () => Math.min(1, Math.max(0, 0.5 + 0.1 * random.gaussian())))); // prettier-ignore
  };
  const readBatch: Store["readBatch"] = async (indices, out = new Float32Array(indices.length * size)) => {
    for (const [i, index] of indices.entries()) out.set(await read(index), i * size);
    return out;
  };
  return { ...source, store: { ...source.store, read, readBatch } };
}

/** Logits from features that were computed already, the mean over an image's variants. */
async function scoresOfFeatures(
  engine: Engine,
  { data, modelFor }: PreparedData,
  images: readonly number[],
  parameters: Readonly<Record<string, Float32Array>>,
): Promise<number[]> {
  const variants = data.variants === "random" ? 1 : data.variants;
  const requests = images.flatMap((image) => Array.from({ length: variants }, (_, variant) => ({ image, variant })));
  if (requests.length === 0) return [];
  const model = modelFor(requests.length);
  const inputs = model.parameters.map(({ value }) => value);
  await using program = await engine.load(
    lower(graphOf("scores", { logits: model.logits }, [model.features, ...inputs])),
    { seldom: true },
  );
  const features = new Float32Array(requests.length * sizeOf(data.rowShape));
  await data.load(requests, features);
  const fed = Object.fromEntries(
    model.parameters.map(({ name, value }) => [name, { data: parameters[name]!.slice(), shape: value.shape }]),
  );
  const { logits } = await program.run({ ...fed, features: { data: features, shape: model.features.shape } });
  const values = logits!.data as Float32Array;
  return images.map((_, i) => {
    const own = values.subarray(i * variants, (i + 1) * variants);
    return own.reduce((a, b) => a + b, 0) / variants;
  });
}

async function trainStrategy(
  strategy: Strategy,
  o: Material & {
    engine: Engine;
    choices: { model: string; epsilon?: number; delta: number | undefined };
    seeds: number;
    weight: number;
    signal: AbortSignal | undefined;
  },
): Promise<Done> {
  const { engine, real, units } = o;
  const nobody = strategy.noise ? o.noise : o.synthetic;
  const { epsilon, delta, model } = o.choices;
  const choices = { model, ...(epsilon === undefined ? {} : { epsilon, ...(delta === undefined ? {} : { delta }) }) };
  const sizeOfUnits = (of: readonly (readonly number[])[]) => ({ units: of.length, images: of.flat().length });
  const planned = (seed: string, of: Strategy, how: typeof choices) =>
    planStrategy(of, {
      ...{ choices: how, weight: o.weight, seed, synthetic: nobody.data.units.length },
      sizes: { patient: sizeOfUnits(units.patient), image: sizeOfUnits(units.image) },
    });
  const scores: { val: number[][]; test: number[][] } = { val: [], test: [] };
  let facts: Done["facts"] | undefined;
  for (let seed = 1; seed <= o.seeds; seed++) {
    const { settings, chosen, unit } = planned(String(seed), strategy, choices);
    const own: PreparedData = { ...real, data: { ...real.data, units: units[unit] } };
    const rows = strategy.use === "alone" ? nobody : strategy.use === "pool" ? pooledRows(own, nobody) : own;
    const signal = o.signal ? { signal: o.signal } : {};
    const start = `${strategy.noise ? "noise" : "synthetic"} ${seed}`;
    if (strategy.use === "before" && !o.pretrained.has(start))
      o.pretrained.set(
        start,
        await train({
          ...{ engine, ...nobody, ...signal },
          settings: planned(`${seed}, before`, { ...strategy, use: "alone" }, { model }).settings,
        }),
      );
    const before = strategy.use === "before" ? o.pretrained.get(start) : undefined;
    const { parameters, steps } = await train({
      ...{ engine, ...rows, settings, ...signal },
      ...(strategy.use === "beside" ? { beside: nobody.data } : {}),
      ...(before ? { initial: before.parameters } : {}),
    });
    const found = await o.score(parameters);
    scores.val.push(found.val);
    scores.test.push(found.test);
    facts ??= { privacy: chosen.plan && costOf(chosen.plan), steps, units: rows.data.units.length };
  }
  return { facts: facts!, scores };
}

function costOf(plan: DpPlan): SyntheticArm["privacy"] {
  const { delta, unit, noiseMultiplier, sampling } = plan;
  const { upper } = spent(plan, plan.steps);
  return { epsilon: upper, delta, unit, noiseMultiplier, samplingProbability: "probability" in sampling ? sampling.probability : 1 }; // prettier-ignore
}
