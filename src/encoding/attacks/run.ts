/** Runs attacks, beside the positive controls that they must break to be believed. */
import { LeadglassError } from "../../errors.ts";
import { seededRandom } from "../../math/random.ts";
import { schemes, type Scheme } from "../schemes/scheme.ts";
import { centred, meanImage, pick, pixelsOfPatches, reorder, type Success, type Vectors } from "./arrays.ts";
import type { Attack, Findings, Scored, Tools } from "./attack.ts";
import { knownPairs, withoutPairs } from "./breaks.ts";
import { decode } from "./decoder.ts";
import type { Guesswork } from "./guesswork.ts";
import { breachedKey } from "./inference.ts";
import type { Limits } from "./minimise.ts";
import { startProducts } from "./products.ts";
import { ownBytes } from "./surrogates.ts";
import { attackNames, attacks } from "./table.ts";
import { alignTo, unshuffle, type Unshuffled } from "./unshuffle.ts";
import { stageRelease, type AttackTruth, type AttackView } from "./view.ts";

export interface AttackReport {
  readonly attack: string;
  readonly knowledge: readonly string[];
  /** Null where nobody gave the answers. */
  readonly success: Success | null;
  readonly chance: number | null;
  readonly guesswork?: Guesswork;
  readonly stages?: Scored["stages"];
  /** The same attack on the positive control. */
  readonly control: { readonly scheme: string; readonly success: Success; readonly chance: number } | null;
  /** False where the attack does not break its control: then its failure says nothing. */
  readonly valid: boolean | null;
  readonly verdict: string;
  readonly details: Readonly<Record<string, number | string>>;
  readonly seconds: number;
}

/** What attacks on one view need not do twice: the un-shuffling, and the positive controls. */
export interface Shared {
  unshuffled?: Unshuffled;
  readonly controls: Map<string, Staged & { readonly shared: Shared }>;
}
export const nothingShared = (): Shared => ({ controls: new Map() });

type Staged = Awaited<ReturnType<typeof stageRelease>>;

async function runOne(
  name: string,
  view: AttackView,
  shared: Shared,
  limits: Limits,
  onProgress?: Tools["onProgress"],
): Promise<Findings> {
  await using products = await startProducts();
  const unshuffled = async (): Promise<Unshuffled> => (shared.unshuffled ??= await unshuffle(view.codes, products));
  // Awaited here: the engine lives until the end of this block.
  return await attacks[name]!.run(view, { products, unshuffled, limits, ...(onProgress ? { onProgress } : {}) });
}

/** A release that an attack must break, made of the candidates under a key that is at hand. */
async function stageControl(
  kind: Attack["control"],
  view: AttackView,
  truth: AttackTruth | undefined,
): Promise<Staged> {
  const { scheme, shape, seed, labels, outsiders, targets, attribute } = view;
  const { mean, deviation } = scheme.pixels;
  const pixelsOf = (set: Vectors): Float32Array =>
    pixelsOfPatches(set, { ...shape, side: scheme.patch }).map((x) => x * deviation + mean);
  const encodingOf = [...Array(view.candidates.images).keys()].map((c) => truth?.candidateOf.indexOf(c) ?? -1);
  return stageRelease({
    pixels: pixelsOf(view.candidates),
    // Without the answers nobody knows who is whom; then every image is of a patient of its own.
    patients: encodingOf.map((e, c) => truth?.patients[e] ?? c),
    scheme: controlScheme(scheme, kind),
    ...{ shape, seed },
    known: view.known.length,
    random: seededRandom(seed, "control"),
    ...(labels ? { labels: labels.candidates } : {}),
    ...(attribute
      ? { attribute: { name: attribute.name, values: encodingOf.map((e) => truth?.attribute?.[e] ?? Number.NaN) } }
      : {}),
    ...(outsiders
      ? {
          outside: {
            pixels: pixelsOf(outsiders),
            targets: targets?.images ?? 0,
            ...(labels ? { labels: labels.outsiders } : {}),
          },
        }
      : {}),
    key: { secret: ownBytes(seed, kind === "breached" ? `key ${breachedKey}` : "control") },
  });
}

/** The scheme that an attack must break, in the sizes of the one attacked. */
const controlScheme = (scheme: Scheme, kind: Attack["control"]): Scheme =>
  kind === "breached"
    ? scheme
    : kind === "linear"
      ? { ...scheme, ...pickOf(schemes.linear), outputs: Math.max(scheme.outputs, 256) }
      : {
          ...scheme,
          name: "shallow",
          depth: 0,
          position: { kind: "added", scale: 1 },
          mixing: false,
          kept: 1,
          noise: null,
        };
const pickOf = ({ name, depth, linear, position, mixing, kept, noise }: Scheme) => ({
  name,
  depth,
  linear,
  position,
  mixing,
  kept,
  noise,
});

export interface AttackOptions {
  readonly truth?: AttackTruth;
  readonly control?: boolean;
  readonly shared?: Shared;
  readonly limits?: Limits;
  readonly onProgress?: (done: number, total: number) => void;
}

/**
 * Runs an attack, scores it where the answers are given, and runs it against its positive control, made here of the
 * candidates under a key at hand. An attack whose success on the control does not exceed chance is invalid.
 * Throws LG-USAGE-001 for an unknown attack, or where the attack lacks what it needs; LG-RUNTIME-004 when cancelled.
 */
export async function runAttack(
  name: string,
  view: AttackView,
  { truth, control = true, shared = nothingShared(), limits = {}, onProgress }: AttackOptions = {},
): Promise<AttackReport & Pick<Findings, "candidates" | "imitations">> {
  const attack = Object.hasOwn(attacks, name) ? attacks[name] : undefined;
  if (!attack)
    throw new LeadglassError("LG-USAGE-001", `attack ${name}: there is no such attack`, {
      hint: `Choose one of ${attackNames.join(", ")}, or all.`,
    });
  const start = performance.now();
  const findings = await runOne(name, view, shared, limits, onProgress);
  const seconds = (performance.now() - start) / 1000;
  const scored = truth ? findings.scored(truth) : undefined;
  // Who is whose second image only the answers tell.
  const needsAnswers = name === "linkage" || name === "attribute";
  let controlled: AttackReport["control"] = null;
  if (control && (truth || !needsAnswers)) {
    let at = shared.controls.get(attack.control);
    if (!at) {
      at = { ...(await stageControl(attack.control, view, truth)), shared: nothingShared() };
      shared.controls.set(attack.control, at);
    }
    const { checkpoint } = limits;
    const own = { ...limits, ...(checkpoint === undefined ? {} : { checkpoint: `${checkpoint}-control` }) };
    const { success, chance } = (await runOne(name, at.view, at.shared, own)).scored(at.truth);
    controlled = { scheme: at.view.scheme.name, success, chance };
  }
  const valid = controlled ? controlled.success.low > controlled.chance : null;
  return {
    attack: name,
    knowledge: attack.knowledge,
    success: scored?.success ?? null,
    chance: scored?.chance ?? null,
    ...(scored?.guesswork ? { guesswork: scored.guesswork } : {}),
    ...(scored?.stages ? { stages: scored.stages } : {}),
    control: controlled,
    valid,
    verdict: verdictOf(scored, valid),
    details: findings.details ?? {},
    seconds,
    ...(findings.candidates ? { candidates: findings.candidates } : {}),
    ...(findings.imitations ? { imitations: findings.imitations } : {}),
  };
}

function verdictOf(scored: { success: Success; chance: number } | undefined, valid: boolean | null): string {
  if (!scored) return "not scored: only the owner's answers tell";
  if (scored.success.low > scored.chance) return "breaks the release";
  if (valid === false) return "invalid: the attack does not break its positive control either";
  if (valid === null) return "no success beyond chance, and no control was run: says nothing";
  return "no success beyond chance; a stronger attacker may have it";
}

/**
 * The decoder that an attack ends with, applied to encodings of the same key: reconstructions in [0, 1],
 * [images, channels, height, width]. `others` are encodings that the attack itself does not use; without them `which`
 * names encodings of the view. Undefined where the attack did not get as far as a decoder of slots.
 */
export async function reconstruct(
  name: "known-pairs" | "matching",
  view: AttackView,
  which: readonly number[],
  others?: Vectors,
): Promise<Float32Array | undefined> {
  await using products = await startProducts();
  const undone = await unshuffle(view.codes, products);
  const tools: Tools = { products, unshuffled: () => Promise.resolve(undone), limits: {} };
  const { route, broken } = name === "matching" ? await withoutPairs(view, tools) : await knownPairs(view, tools);
  if (route !== "slots") return undefined;
  const asked = others ? reorder(others, await alignTo(undone.marks, others, products)) : pick(undone.aligned, which);
  const decoded = await decode(centred(asked, meanImage(undone.aligned)), broken.decoder, products);
  const { mean: centre, deviation } = view.scheme.pixels;
  const { mean } = broken;
  const pixels = decoded.data.map((x, at) =>
    Math.min(1, Math.max(0, (x + mean[at % mean.length]!) * deviation + centre)),
  );
  return pixelsOfPatches({ ...decoded, data: pixels }, { ...view.shape, side: view.scheme.patch });
}
