/** Judging synthetic images: how like the real ones they are, how varied, and whether they give training patients away. */
import type { Cohort } from "../../cohort/index.ts";
import { LeadglassError } from "../../errors.ts";
import { standardised, type Table } from "../../math/kernel-ridge.ts";
import { seededRandom } from "../../math/random.ts";
import { quantileSorted } from "../../math/statistics.ts";
import { startEngine } from "../../runtime/index.ts";
import { consistencyArm, type ConsistencyArm, type Labelled } from "./consistency.ts";
import { coverageFigures, type Coverage } from "./coverage.ts";
import { frechetBound, frechetFigure, type FrechetFigure } from "./frechet.ts";
import { kernelBound, kernelFigure } from "./kernel-distance.ts";
import {
  canaryRanks, falseAlarmRate, memorisation, memorisedIn, type CanaryRank, type MemorisationReport,
} from "./memorisation.ts"; // prettier-ignore
import type { Vectors } from "./nearest.ts";
import { drawRows, halves, numbered, rowsOf, type Figure, type Sample } from "./sample.ts";
import { spacesOf, type Network, type Spaces } from "./spaces.ts";

/** One set of images against the real images of the judged split, in one feature space. */
export interface FidelityRow {
  readonly features: string;
  /** "synthetic", "held-out real", or "real against real" (two halves of the split: the bound). */
  readonly images: string;
  /** Where a target was given: the class both sides are of; null for all images. */
  readonly label: 0 | 1 | null;
  readonly n: { readonly real: number; readonly other: number };
  readonly frechet: Figure & { readonly extrapolated: number | null };
  /** Null for rows of one class. */
  readonly kernel: Figure | null;
  readonly coverage: Coverage | null;
}

export interface FeatureDifference {
  readonly feature: string;
  /** Median of the synthetic images less the mean of the real ones, in standard deviations of the real ones. */
  readonly difference: number;
  /** Quartiles of the synthetic images on the same scale. */
  readonly low: number;
  readonly high: number;
}

export interface SpaceMemorisation extends Omit<MemorisationReport, "closest" | "realRatios"> {
  readonly canaries: readonly CanaryRank[] | null;
}

export interface NearDuplicate {
  /** Indices into the cohorts. */
  readonly synthetic: number;
  readonly real: number;
  readonly trained: boolean;
  readonly ratio: number;
  readonly space: string;
}

export interface Judgement {
  readonly images: { readonly real: number; readonly heldOut: number; readonly synthetic: number };
  readonly patients: { readonly real: number; readonly heldOut: number };
  readonly fidelity: readonly FidelityRow[];
  /** The radiomic features that differ most. */
  readonly differences: readonly FeatureDifference[];
  readonly classConsistency: readonly ConsistencyArm[];
  /** By space; null where there is no held-out patient to compare with. */
  readonly memorisation: Readonly<Record<string, SpaceMemorisation>> | null;
  /** Spaces in which memorisation is proved at `falseAlarmRate` over all of them. */
  readonly memorisedIn: readonly string[];
  readonly falseAlarmRate: number;
  readonly nearDuplicates: readonly NearDuplicate[];
  /** How many features the network has, where they were projected onto 256. */
  readonly projectedFrom: number | null;
  readonly assumptions: readonly string[];
}

export interface JudgeRequest {
  readonly real: Cohort;
  /** The split that the generator was trained on; every other split is held out. */
  readonly split: string;
  readonly synthetic: Cohort;
  /** A binary column that both cohorts have. */
  readonly target?: string;
  /** A column of the real cohort that is 1 for images planted in the training. */
  readonly canaries?: string;
  readonly network?: Network;
  /** Most images of each side, drawn by patients; 3000 unless given. */
  readonly most?: number;
  readonly seed: number;
  /** Resamples of the Frechet distance's interval, the slowest part; 60 unless given. */
  readonly resamples?: number;
  readonly onProgress?: (stage: string, done: number, total: number) => void;
}

const fewest = 20;

/**
 * Judges synthetic against real images. Features are standardised by the real images of the split. Real images of the
 * other splits serve as the control that no generator made.
 * Throws LG-COHORT-011 for a split without images, LG-USAGE-001 for fewer than 20 images on a side, LG-COHORT-004 for a
 * column that is not there.
 */
export async function judgeSynthetic(request: JudgeRequest): Promise<Judgement> {
  const { real, split, synthetic, seed, most = 3000, resamples = 60 } = request;
  const random = seededRandom(seed, "judge", "images");
  const draw = (images: readonly number[], names: readonly (string | number)[]): number[] =>
    drawRows(numbered(names), most, random).map((row) => images[row]!);
  const patientsOf = (images: readonly number[]): string[] => images.map((i) => real.records[i]!.patientId);
  const own = real.imagesOf(split);
  const others = real.records.flatMap((record, i) => (record.split === split ? [] : [i]));
  const trained = draw(own, patientsOf(own));
  const heldOut = draw(others, patientsOf(others));
  const made = draw(
    synthetic.records.map((_, i) => i),
    synthetic.records.map((_, i) => i),
  );
  for (const [name, images] of [[`split "${split}"`, trained], ["the synthetic cohort", made]] as const) // prettier-ignore
    if (images.length < fewest)
      throw new LeadglassError("LG-USAGE-001", `synth judge: ${name} has ${images.length} images; at least ${fewest} are needed`, {
        hint: "Too few images say nothing about a generator: sample more, or choose another split.",
      }); // prettier-ignore
  await using engine = await startEngine();
  const both = [...trained, ...heldOut];
  const options = request.network ? { network: request.network } : {};
  const say = (stage: string) => ({
    onProgress: (done: number, total: number) => request.onProgress?.(stage, done, total),
  });
  const realSpaces = await spacesOf(real, both, engine, { ...options, ...say("features of real images") });
  const madeSpaces = await spacesOf(synthetic, made, engine, { ...options, ...say("features of synthetic images") });

  const reference = trained.map((_, i) => i);
  const control = heldOut.map((_, i) => trained.length + i);
  const units = numbered(patientsOf(both));
  const isSynthetic = made.map((_, i) => both.length + i);
  const samples = Object.fromEntries(
    Object.keys(realSpaces.tables).map((name) => {
      const table = tempered(standardised(stacked(realSpaces.tables[name]!, madeSpaces.tables[name]!), reference));
      const all: Sample = { table, units: [...units, ...isSynthetic] };
      return [name, { all, of: (rows: readonly number[]) => rowsOf(all, rows) }];
    }),
  );

  const labels = request.target === undefined ? null : labelsOf(request, both, made);
  const fidelity: FidelityRow[] = [];
  const names = Object.keys(samples);
  const steps = names.length * (labels ? 5 : 3);
  let step = 0;
  const tick = async (): Promise<void> => {
    request.onProgress?.("distances", ++step, steps);
    await new Promise((resolve) => setImmediate(resolve));
  };
  for (const features of names) {
    const { of } = samples[features]!;
    const base = of(reference);
    fidelity.push(rowOf({ features, images: "synthetic", label: null }, base, of(isSynthetic), { seed, resamples }));
    await tick();
    if (control.length >= fewest)
      fidelity.push(rowOf({ features, images: "held-out real", label: null }, base, of(control), { seed, resamples }));
    await tick();
    fidelity.push(boundOf({ features, images: "real against real", label: null }, base, seed));
    await tick();
    for (const label of labels ? ([0, 1] as const) : []) {
      const only = (rows: readonly number[]): Sample => of(rows.filter((row) => labels![row] === label));
      const [r, s] = [only(reference), only(isSynthetic)];
      if (Math.min(r.units.length, s.units.length) >= fewest)
        fidelity.push({
          ...{ features, images: "synthetic", label, n: { real: r.units.length, other: s.units.length } },
          frechet: frechetFigure(r, s, { seed, resamples }),
          ...{ kernel: null, coverage: null },
        });
      await tick();
    }
  }

  const classConsistency = labels ? consistencyArms(samples, labels, { reference, control, isSynthetic }, seed) : [];
  const memory = await memoryOf(request, { trained, heldOut, made }, realSpaces, madeSpaces, samples, units);
  return {
    images: { real: trained.length, heldOut: heldOut.length, synthetic: made.length },
    patients: { real: new Set(patientsOf(trained)).size, heldOut: new Set(patientsOf(heldOut)).size },
    fidelity,
    differences: differencesOf(realSpaces.radiomics, samples["radiomics"]!.of(isSynthetic).table),
    classConsistency,
    ...memory,
    falseAlarmRate,
    projectedFrom: realSpaces.projectedFrom,
    assumptions,
  };
}

const assumptions = [
  "features are standardised by the real images of the split, and asinh is taken of each, so that no outlier decides",
  "the Frechet distance takes features for normally distributed",
  "the Frechet distance grows as samples shrink: compare it with the bound and the extrapolation, not across sizes",
  "the memorisation test assumes that patients of the split and held-out patients are exchangeable, as in a random split",
  "a generator that is not flagged is not thereby private: that takes a proof, or more images",
];

function stacked(a: Table, b: Table): Table {
  const data = new Float64Array(a.data.length + b.data.length);
  data.set(a.data);
  data.set(b.data, a.data.length);
  return { rows: a.rows + b.rows, columns: a.columns, data };
}

/**
 * The inverse hyperbolic sine of each entry: as it is near 0, logarithmic far out. Some radiomic features of an artefact are
 * hundreds of real deviations away; without this a few such images would be the whole distance.
 */
const tempered = ({ rows, columns, data }: Table): Table => ({ rows, columns, data: data.map(Math.asinh) });

type RowName = Pick<FidelityRow, "features" | "images" | "label">;
/** Kernels and neighbours of all pairs: at most this many images of each side. */
const mostPairs = 2000;

function rowOf(
  name: RowName,
  real: Sample,
  other: Sample,
  { seed, resamples }: { readonly seed: number; readonly resamples: number },
): FidelityRow {
  const random = seededRandom(seed, "judge", "pairs");
  const [r, s] = [real, other].map((sample) => rowsOf(sample, drawRows(sample.units, mostPairs, random))) as [
    Sample,
    Sample,
  ];
  const frechet: FrechetFigure = frechetFigure(real, other, { seed, resamples });
  return {
    ...name,
    n: { real: real.units.length, other: other.units.length },
    frechet,
    kernel: kernelFigure(r, s, { seed }),
    coverage: coverageFigures(real, other, { seed, most: mostPairs }),
  };
}

function boundOf(name: RowName, real: Sample, seed: number): FidelityRow {
  const random = seededRandom(seed, "judge", "halves");
  const [one, other] = halves(real.units, random);
  const few = rowsOf(real, drawRows(real.units, mostPairs, random));
  return {
    ...name,
    n: { real: one.length, other: other.length },
    frechet: { ...frechetBound(real, { seed }), extrapolated: null },
    kernel: kernelBound(few, { seed }),
    coverage: coverageFigures(rowsOf(real, one), rowsOf(real, other), { seed, most: mostPairs }),
  };
}

/** Labels of all rows, real ones first; NaN where missing. */
function labelsOf(request: JudgeRequest, real: readonly number[], made: readonly number[]): number[] {
  const of = (cohort: Cohort, images: readonly number[]): number[] => {
    const target = cohort.target(request.target!);
    return images.map((i) => (target.present[i] === 1 ? target.labels[i]! : NaN));
  };
  return [...of(request.real, real), ...of(request.synthetic, made)];
}

interface Rows {
  readonly reference: readonly number[];
  readonly control: readonly number[];
  readonly isSynthetic: readonly number[];
}

function consistencyArms(
  samples: Readonly<Record<string, { readonly all: Sample }>>,
  labels: readonly number[],
  { reference, control, isSynthetic }: Rows,
  seed: number,
): ConsistencyArm[] {
  const tables = Object.values(samples).map(({ all }) => all.table);
  const { units } = Object.values(samples)[0]!.all;
  const columns = tables.reduce((sum, table) => sum + table.columns, 0);
  const part = (rows: readonly number[]): Labelled => {
    const known = rows.filter((row) => !Number.isNaN(labels[row]!));
    const data = Float64Array.from(
      known.flatMap((row) => tables.flatMap((t) => [...t.data.subarray(row * t.columns, (row + 1) * t.columns)])),
    );
    return {
      sample: { table: { rows: known.length, columns, data }, units: numbered(known.map((row) => units[row]!)) },
      labels: known.map((row) => labels[row]!),
    };
  };
  const [real, heldOut, made] = [part(reference), part(control), part(isSynthetic)];
  const arms: [string, Labelled, string, Labelled][] = [
    ["real", real, "held-out real", heldOut],
    ["synthetic", made, "held-out real", heldOut],
    ["real", real, "synthetic", made],
  ];
  return arms
    .filter(([, train, , test]) => Math.min(train.labels.length, test.labels.length) >= fewest)
    .map(([train, from, test, to]) => consistencyArm({ train, test }, from, to, seed));
}

async function memoryOf(
  request: JudgeRequest,
  { trained, heldOut, made }: Record<"trained" | "heldOut" | "made", number[]>,
  realSpaces: Spaces,
  madeSpaces: Spaces,
  samples: Readonly<Record<string, { readonly of: (rows: readonly number[]) => Sample }>>,
  patients: readonly number[],
): Promise<Pick<Judgement, "memorisation" | "memorisedIn" | "nearDuplicates">> {
  if (heldOut.length < fewest) return { memorisation: null, memorisedIn: [], nearDuplicates: [] };
  const both = [...trained, ...heldOut];
  const isTrained = both.map((_, i) => i < trained.length);
  const planted = request.canaries === undefined ? null : request.real.column(request.canaries);
  const vectors = (name: string, rows: readonly number[]): Vectors => {
    const { table } = samples[name]!.of(rows);
    return { count: table.rows, length: table.columns, data: Float32Array.from(table.data) };
  };
  const spaces = ["pixels", ...Object.keys(samples)];
  const reports: Record<string, MemorisationReport> = {};
  for (const name of spaces)
    reports[name] = await memorisation({
      real: name === "pixels" ? realSpaces.pixels : vectors(name, [...both.keys()]),
      synthetic: name === "pixels" ? madeSpaces.pixels : vectors(name, made.map((_, i) => both.length + i)), // prettier-ignore
      patients,
      trained: isTrained,
      seed: request.seed,
      onProgress: (done, total) => request.onProgress?.(`nearest images by ${name}`, done, total),
    });
  const canariesIn = ({ realRatios }: MemorisationReport): CanaryRank[] | null =>
    planted &&
    canaryRanks(
      trained.flatMap((image, i) => (planted[image] === "1" ? [realRatios[i]!] : [])),
      heldOut.map((_, i) => realRatios[trained.length + i]!),
    );
  return {
    memorisation: Object.fromEntries(
      spaces.map((name) => {
        const { closest: _closest, realRatios: _ratios, ...rest } = reports[name]!;
        return [name, { ...rest, canaries: canariesIn(reports[name]!) }];
      }),
    ),
    memorisedIn: memorisedIn(reports),
    nearDuplicates: spaces.flatMap((space) =>
      reports[space]!.closest.slice(0, 8).map(({ synthetic, real, ratio }) => ({
        ...{ space, ratio, trained: isTrained[real]! },
        synthetic: made[synthetic]!,
        real: both[real]!,
      })),
    ),
  };
}

/** How far apart the features are before outliers are tempered, of medians: the table holds asinh of standardised values. */
function differencesOf(names: readonly string[], { rows, columns, data }: Table): FeatureDifference[] {
  return names
    .map((feature, c) => {
      const values = Float64Array.from({ length: rows }, (_, r) => Math.sinh(data[r * columns + c]!)).sort();
      const [low, difference, high] = [0.25, 0.5, 0.75].map((p) => quantileSorted(values, p)) as [
        number,
        number,
        number,
      ];
      return { feature, difference, low, high };
    })
    .sort((a, b) => Math.abs(b.difference) - Math.abs(a.difference))
    .slice(0, 8);
}
