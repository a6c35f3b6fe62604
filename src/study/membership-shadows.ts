/** Shadow models: what a training like the attacked one makes of other random parts of the same patients. */
import { createHash } from "node:crypto";
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Cohort, Target } from "../cohort/index.ts";
import { isLeadglassError, LeadglassError } from "../errors.ts";
import { seededRandom, shuffle } from "../math/random.ts";
import type { Device, Engine } from "../runtime/index.ts";
import { writeAtomically } from "../training/checkpoint.ts";
import { startTeam } from "../training/engines.ts";
import { accumulateGraph } from "../training/step.ts";
import { floatsOfUnit } from "../training/tile.ts";
import { train } from "../training/train.ts";
import { freezeParameters } from "./freeze.ts";
import { predictImages, prepareRows, type RowSource } from "./rows.ts";
import { readFrozen, type RunRecord } from "./run-folder.ts";
import { chooseSettings } from "./settings.ts";
import { settingsOf } from "./train-settings.ts";

/** One finished shadow model, as it is kept: its answers, not its weights. */
export interface ShadowAnswers {
  /** Patients it was trained on, as places in the audit's list. */
  readonly inside: readonly number[];
  /** [images, targets], for the images of the audit in their order. */
  readonly probabilities: readonly number[];
}

export interface ShadowProgress {
  readonly shadow: number;
  readonly shadows: number;
  readonly step: number;
  readonly steps: number;
}

/**
 * Trains `count` shadow models, with the choices the run was trained with, each on a random half of the patients, and
 * returns their answers for `images`. Shadows come in pairs with complementary halves, so that every patient is in half of
 * them. A finished shadow is kept in `dir` and taken from there when the same audit is made again; everything that decides
 * its result is in its file's key.
 * Throws LG-INTERRUPTED-001 when cancelled (finished shadows stay), and what training throws.
 */
export async function trainShadows(options: {
  readonly run: RunRecord;
  readonly runDir: string;
  readonly cohort: Cohort;
  readonly targets: readonly Target[];
  /** The labelled images of every patient of the audit. */
  readonly patients: readonly (readonly number[])[];
  readonly images: readonly number[];
  readonly count: number;
  readonly dir: string;
  readonly engine: Engine;
  readonly source: RowSource;
  readonly device?: Device;
  readonly signal?: AbortSignal;
  readonly onNote?: (line: string) => void;
  readonly onProgress?: (progress: ShadowProgress) => void;
}): Promise<ShadowAnswers[]> {
  const { run, cohort, targets, patients, images, count, dir, engine, source } = options;
  if (run.choices.synthetic !== undefined)
    throw new LeadglassError("LG-USAGE-001", "shadow models: the run learned from synthetic images too, which shadows would lack", { hint: "Choose an attack that needs no shadow models." }); // prettier-ignore
  const halves = drawHalves(patients.length, count, run.settings.seed);
  const found = await Promise.all(halves.map((inside, k) => readShadow(pathOf(dir, k), keyOf(options, inside, k))));
  const missing = found.flatMap((answers, k) => (answers ? [] : [k]));
  if (missing.length < count) options.onNote?.(`${count - missing.length} of ${count} shadow models are there already`);
  if (missing.length === 0) return found as ShadowAnswers[];
  await mkdir(dir, { recursive: true });

  const units = (inside: readonly number[]): number[][] =>
    inside.flatMap((p) => (run.unit === "patient" ? [[...patients[p]!]] : patients[p]!.map((image) => [image])));
  const everyone = units(patients.map((_, p) => p));
  const insecureSeed = run.settings.reproducible;
  const chosenFor = (size: readonly (readonly number[])[]) =>
    chooseSettings(
      { ...run.choices, model: run.architecture },
      { units: size.length, images: size.flat().length, medium: cohort.medium },
      insecureSeed,
    );
  const { variants, augmentation } = chosenFor(everyone);
  const rows = await prepareRows({
    ...{ engine, cohort, targets, source, variants, augmentation },
    units: everyone,
    architecture: run.architecture,
  });
  const frozen = run.choices.freeze === undefined ? undefined : await readFrozen(options.runDir);
  const modelFor: typeof rows.modelFor = frozen ? (n) => freezeParameters(rows.modelFor(n), frozen) : rows.modelFor;

  for (const [done, k] of missing.entries()) {
    const own = units(halves[k]!);
    const chosen = chosenFor(own);
    // The loss is the run's own, with any weights it gave to positives.
    const settings = {
      ...settingsOf(chosen, `${run.settings.seed}, shadow ${k}`, run.settings.reproducible),
      loss: run.settings.loss,
    };
    const floats = floatsOfUnit((n) =>
      accumulateGraph(
        rows.modelFor(n * settings.views),
        settings.loss,
        { kind: "plain" },
        { units: n, views: settings.views },
      ),
    );
    await using team = await startTeam({ device: options.device, floatsPerStep: chosen.batchSize * floats });
    const trained = await train({
      engine: team.engine,
      helpers: team.helpers,
      modelFor,
      data: { ...rows.data, units: own },
      settings,
      ...(options.signal ? { signal: options.signal } : {}),
      onProgress: ({ step, steps }) => options.onProgress?.({ shadow: k, shadows: count, step, steps }),
    }).catch((error: unknown) => {
      if (!isLeadglassError(error) || error.code !== "LG-RUNTIME-004") throw error;
      throw new LeadglassError(
        "LG-INTERRUPTED-001",
        `audit membership: stopped; ${count - missing.length + done} of ${count} shadow models are finished`,
        { hint: "Run the same command again: it goes on with the next one.", cause: error },
      );
    });
    const shrunk = Object.entries(trained.parameters).map(([name, w]) => [name, w.map((v) => v * chosen.shrinkage)]);
    const probabilities = await predictImages({
      ...{ engine, source, images },
      architecture: run.architecture,
      outputs: targets.length,
      weights: { ...frozen, ...(Object.fromEntries(shrunk) as Record<string, Float32Array>) },
      mirror: run.mirror,
    });
    const answers: ShadowAnswers = { inside: halves[k]!, probabilities: Array.from(probabilities) };
    await writeAtomically(
      pathOf(dir, k),
      `${JSON.stringify({ version: 1, key: keyOf(options, halves[k]!, k), ...answers })}\n`,
    );
    found[k] = answers;
  }
  return found as ShadowAnswers[];
}

/** Halves of the patients, in complementary pairs; the same patients, seed and place give the same half. */
export function drawHalves(patients: number, count: number, seed: string): number[][] {
  return Array.from({ length: count }, (_, k) => {
    const order = shuffle([...Array(patients).keys()], seededRandom(seed, "shadow halves", Math.floor(k / 2)));
    const middle = Math.ceil(patients / 2);
    return (k % 2 === 0 ? order.slice(0, middle) : order.slice(middle)).sort((a, b) => a - b);
  });
}

const pathOf = (dir: string, k: number): string => join(dir, `shadow-${String(k + 1).padStart(3, "0")}.json`);

/** Everything that a shadow's answers depend on. */
function keyOf(
  { run, cohort, images }: Parameters<typeof trainShadows>[0],
  inside: readonly number[],
  k: number,
): string {
  const { architecture, imageSize, volume, targets, unit, mirror, choices, settings } = run;
  const decisive = { architecture, imageSize, volume, targets, unit, mirror, choices, settings };
  return createHash("sha256")
    .update(JSON.stringify([cohort.fingerprint, decisive, images, inside, k]))
    .digest("hex");
}

async function readShadow(path: string, key: string): Promise<ShadowAnswers | undefined> {
  try {
    const kept = JSON.parse(await readFile(path, "utf8")) as ShadowAnswers & { version: number; key: string };
    // Of another audit, or of this one after something changed: it is trained again.
    return kept.version === 1 && kept.key === key ? kept : undefined;
  } catch {
    return undefined;
  }
}
