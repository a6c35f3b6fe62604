/** Does a generator give its training patients back? Tests whose null hypothesis holds for every honest generator. */
import { seededRandom, shuffle } from "../../math/random.ts";
import { mean, midranks, quantileSorted } from "../../math/statistics.ts";
import { tprAtFpr, type TprAtFpr } from "../../privacy/index.ts";
import { nearestTwo, vectorRows, type NearestTwo, type Vectors } from "./nearest.ts";
import { drawWeights, numbered, percentileFigure, type Figure } from "./sample.ts";

/** Real images of patients that the generator was trained on and of others of the same source, and synthetic ones. */
export interface MemorisationInput {
  readonly real: Vectors;
  /** The patient of each real image, numbered from 0. */
  readonly patients: readonly number[];
  /** For each real image whether the generator was trained on it; a patient is all in or all out. */
  readonly trained: readonly boolean[];
  readonly synthetic: Vectors;
  readonly seed: number;
  /** Relabellings that p-values are counted in; 9999 unless given. */
  readonly permutations?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Quartiles {
  readonly low: number;
  readonly median: number;
  readonly high: number;
}

export interface ExchangeTest {
  /** Synthetic images the test looks at. */
  readonly images: number;
  /**
   * Share of them whose nearest real image is a training patient's, with a 95 % interval over resampled patients. Suspects
   * are weighted by how suspicious they are: by the logarithm of the threshold over their ratio.
   */
  readonly share: Figure | null;
  /** The share when nothing was memorised, with the range of 95 % of relabelled cohorts. */
  readonly expected: Figure | null;
  /** Of so large a share when training and held-out patients are exchangeable; one-sided. */
  readonly pValue: number;
}

export interface MembershipFigures {
  readonly auroc: Figure;
  /** At 1 % false accusations. */
  readonly tprAtFpr: TprAtFpr;
  readonly members: number;
  readonly nonMembers: number;
}

export interface MemorisationReport {
  /** Of synthetic images that lie suspiciously close to one real image. */
  readonly suspects: ExchangeTest;
  /** Of all synthetic images. */
  readonly all: ExchangeTest;
  /**
   * Distances to the nearest image: of synthetic to training, of held-out to training, and of synthetic to held-out
   * images, with as many training as held-out patients. A blurred image is near to everything, so only the first and the
   * last can be compared without the generator's quality in between.
   */
  readonly distances: {
    readonly syntheticToTrain: Quartiles;
    readonly heldOutToTrain: Quartiles;
    readonly syntheticToHeldOut: Quartiles;
  };
  /** Membership inference on patients: who has a synthetic image closer than his place among real images explains. */
  readonly membership: MembershipFigures;
  /** The suspects by closeness: synthetic row, the real row it is close to, and how close (1: no closer than the next). */
  readonly closest: readonly { readonly synthetic: number; readonly real: number; readonly ratio: number }[];
  /** For each real image its distance to the nearest synthetic one over that to the nearest other patient's. */
  readonly realRatios: Float64Array;
}

/** Suspects are closer to one patient, against the next, than this share of real images is to another patient. */
const suspectShare = 0.05;

/**
 * Tests for memorisation. Which images are looked at is decided without knowing who was trained on: a synthetic image is
 * a suspect where its distance to the nearest real image over that to the nearest of another patient is lower than for
 * 95 % of real images. Then, were nothing memorised, the suspects' nearest patients would be training patients as often
 * as any: the p-value counts how often a random choice of as many patients "trained on" does as well. It is exact where
 * training and held-out patients are exchangeable (a random split), whatever the generator's quality.
 * In the manner of Meehan, Chaudhuri and Dasgupta 2020 (arXiv 2004.05675), with a relabelling of patients for the test.
 */
export async function memorisation(input: MemorisationInput): Promise<MemorisationReport> {
  const { real, patients, trained, synthetic, seed } = input;
  const units = numbered(patients);
  const total = 2 * synthetic.count + 2 * real.count;
  let before = 0;
  const stage = (count: number) => {
    const from = before;
    before += count;
    return (done: number): void => input.onProgress?.(from + done, total);
  };
  const toReal = await nearestTwo(synthetic, real, units, { onProgress: stage(synthetic.count) });
  const among = await nearestTwo(real, real, units, { ownUnits: true, onProgress: stage(real.count) });
  const toSynthetic = await nearestTwo(
    real,
    synthetic,
    Array.from({ length: synthetic.count }, (_, i) => i),
    { onProgress: stage(real.count) },
  );
  const threshold = quantileSorted(among.map(ratioOf).sort((a, b) => a - b), suspectShare); // prettier-ignore
  const ratios = toReal.map(ratioOf);
  const suspects = [...ratios.keys()].filter((i) => ratios[i]! < threshold).sort((a, b) => ratios[a]! - ratios[b]!);
  const counted = { isMember: memberUnits(units, trained), seed, permutations: input.permutations ?? 9999 };
  const test = (rows: readonly number[], weightOf: (row: number) => number): ExchangeTest =>
    exchangeTest(
      rows.map((i) => ({ unit: units[toReal[i]!.first.row]!, weight: weightOf(i) })),
      counted,
    );
  const { isMember } = counted;
  const realRatios = Float64Array.from(toSynthetic, ({ first }, i) => first.distance / (among[i]!.first.distance || 1e-12)); // prettier-ignore
  const report = {
    suspects: test(suspects, (i) => Math.log(threshold / Math.max(ratios[i]!, 1e-3 * threshold))),
    all: test([...ratios.keys()], () => 1),
    distances: await balancedDistances(input, units, isMember, stage(synthetic.count)),
    membership: membershipFigures(units, isMember, realRatios, seed),
    closest: suspects.map((i) => ({ synthetic: i, real: toReal[i]!.first.row, ratio: ratios[i]! })),
    realRatios,
  };
  input.onProgress?.(total, total);
  return report;
}

const ratioOf = ({ first, second }: NearestTwo): number => (second.distance > 0 ? first.distance / second.distance : 1);

const memberUnits = (units: readonly number[], trained: readonly boolean[]): boolean[] => {
  const isMember: boolean[] = [];
  units.forEach((unit, row) => (isMember[unit] = trained[row]!));
  return isMember;
};

/** Relabels patients at random, as many in training as there are, and counts how often the weighted share is as large. */
export function exchangeTest(
  nearest: readonly { readonly unit: number; readonly weight: number }[],
  {
    isMember,
    seed,
    permutations,
  }: { readonly isMember: readonly boolean[]; readonly seed: number; readonly permutations: number },
): ExchangeTest {
  const images = nearest.length;
  const weights = new Float64Array(isMember.length);
  for (const { unit, weight } of nearest) weights[unit]! += weight;
  // Only patients who are somebody's nearest matter.
  const hit = [...weights.keys()].filter((unit) => weights[unit]! > 0);
  if (hit.length === 0) return { images, share: null, expected: null, pValue: 1 };
  const total = hit.reduce((sum, unit) => sum + weights[unit]!, 0);
  const shareUnder = (labels: readonly boolean[]): number =>
    hit.reduce((sum, unit) => sum + (labels[unit] ? weights[unit]! : 0), 0) / total;
  const observed = shareUnder(isMember);
  const random = seededRandom(seed, "judge", "exchange");
  const labels = [...isMember];
  const drawn = Array.from({ length: permutations }, () => shareUnder(shuffle(labels, random)));
  // Sums in another order may differ in the last digits: a tie is a tie.
  const atLeast = drawn.filter((share) => share >= observed - 1e-9).length;
  const resamples = Array.from({ length: 500 }, () => {
    const times = drawWeights([...hit.keys()], random);
    let [inside, all] = [0, 0];
    hit.forEach((unit, i) => {
      all += times[i]! * weights[unit]!;
      if (isMember[unit]) inside += times[i]! * weights[unit]!;
    });
    return inside / all;
  });
  return {
    images,
    share: percentileFigure(observed, resamples),
    expected: percentileFigure(isMember.filter(Boolean).length / isMember.length, drawn),
    pValue: (atLeast + 1) / (permutations + 1),
  };
}

const quartiles = (values: readonly number[]): Quartiles => {
  const sorted = values.toSorted((a, b) => a - b);
  const [low, median, high] = [0.25, 0.5, 0.75].map((p) => quantileSorted(sorted, p)) as [number, number, number];
  return { low, median, high };
};

/** Distances with as many training as held-out patients, drawn at random: more images are nearer. */
async function balancedDistances(
  { real, synthetic, seed }: MemorisationInput,
  units: readonly number[],
  isMember: readonly boolean[],
  onProgress: (done: number) => void,
): Promise<MemorisationReport["distances"]> {
  const random = seededRandom(seed, "judge", "balanced");
  const side = (member: boolean): number[] =>
    shuffle([...isMember.keys()].filter((unit) => isMember[unit] === member), random); // prettier-ignore
  const [members, others] = [side(true), side(false)];
  const most = Math.min(members.length, others.length);
  const rowsAmong = (own: number[]): number[] => {
    const chosen = new Set(own.slice(0, most));
    return [...units.keys()].filter((row) => chosen.has(units[row]!));
  };
  const [train, heldOut] = [rowsAmong(members), rowsAmong(others)].map((rows) => vectorRows(real, rows)) as [
    Vectors,
    Vectors,
  ];
  const nearest = async (queries: Vectors, reference: Vectors): Promise<Quartiles> => {
    const found = await nearestTwo(
      queries,
      reference,
      Array.from({ length: reference.count }, (_, i) => i),
    );
    return quartiles(found.map(({ first }) => first.distance));
  };
  const distances = {
    syntheticToTrain: await nearest(synthetic, train),
    heldOutToTrain: await nearest(heldOut, train),
    syntheticToHeldOut: await nearest(synthetic, heldOut),
  };
  onProgress(synthetic.count);
  return distances;
}

/** A patient's score is that of his most betrayed image. */
function membershipFigures(
  units: readonly number[],
  isMember: readonly boolean[],
  ratios: Float64Array,
  seed: number,
): MembershipFigures {
  const scores = new Float64Array(isMember.length).fill(-Infinity);
  units.forEach((unit, row) => (scores[unit] = Math.max(scores[unit]!, -ratios[row]!)));
  const of = (member: boolean): number[] => [...scores].filter((_, unit) => isMember[unit] === member);
  const [members, nonMembers] = [of(true), of(false)];
  return {
    auroc: aurocFigure(members, nonMembers, seed),
    tprAtFpr: tprAtFpr(members, nonMembers, 0.01),
    members: members.length,
    nonMembers: nonMembers.length,
  };
}

/** The probability that a positive scores above a negative, ties counting half. */
export function aurocOf(positives: readonly number[], negatives: readonly number[]): number {
  const ranks = midranks([...positives, ...negatives]);
  const [p, n] = [positives.length, negatives.length];
  const sum = ranks.subarray(0, p).reduce((a, b) => a + b, 0);
  return (sum - (p * (p + 1)) / 2) / (p * n);
}

/** AUROC with a 95 % interval from 500 resamples of both sides. */
function aurocFigure(positives: readonly number[], negatives: readonly number[], seed: number): Figure {
  const random = seededRandom(seed, "judge", "auroc");
  const drawn = (values: readonly number[]): number[] => values.map(() => values[random.integer(values.length)]!);
  return percentileFigure(
    aurocOf(positives, negatives),
    Array.from({ length: 500 }, () => aurocOf(drawn(positives), drawn(negatives))),
  );
}

/** How far one planted image stands out among images that were not in the training. */
export interface CanaryRank {
  /** 1: closer to the synthetic images than every held-out image. */
  readonly rank: number;
  readonly among: number;
  /** log2(among) - log2(rank): bits that the synthetic images give away. Source: Carlini et al. 2019 (arXiv 1802.08232). */
  readonly exposure: number;
}

/** Ranks of planted images among held-out ones by their ratio (see `realRatios`); low is betrayed. */
export const canaryRanks = (canaries: readonly number[], heldOut: readonly number[]): CanaryRank[] =>
  canaries.map((ratio) => {
    const rank = 1 + heldOut.filter((other) => other < ratio).length;
    const among = heldOut.length + 1;
    return { rank, among, exposure: Math.log2(among) - Math.log2(rank) };
  });

/** False alarms of the verdict over all spaces together. */
export const falseAlarmRate = 0.01;

/** Memorised where some space's suspects refute an honest generator, each space at its share of the false-alarm rate. */
export function memorisedIn(spaces: Readonly<Record<string, Pick<MemorisationReport, "suspects">>>): string[] {
  const names = Object.keys(spaces);
  return names.filter((name) => spaces[name]!.suspects.pValue <= falseAlarmRate / names.length);
}

export const meanExposure = (ranks: readonly CanaryRank[]): number => mean(ranks.map(({ exposure }) => exposure));
