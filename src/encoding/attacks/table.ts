/** The attacks: what each knows, how it is run, and how right it was beside chance. */
import { LeadglassError } from "../../errors.ts";
import { seededRandom } from "../../math/random.ts";
import { patchGrid, releasedPatches, schemes, type Scheme } from "../schemes/scheme.ts";
import {
  agreement,
  centred,
  meanImage,
  pick,
  pixelsOfPatches,
  reorder,
  successOf,
  type Success,
  type Vectors,
} from "./arrays.ts";
import { decode, nearest, similarity } from "./decoder.ts";
import { attackerGuesswork, type Guesswork } from "./guesswork.ts";
import { breakByKnownPairs } from "./known-pairs.ts";
import { mostAlikeSlots, nearestEncodings } from "./layout.ts";
import { meansOf } from "./means.ts";
import { breakByMmd } from "./mmd.ts";
import { startProducts, type Products } from "./products.ts";
import { breakUnpaired } from "./unpaired.ts";
import { alignTo, unshuffle, unshuffleSuccess, type Unshuffled } from "./unshuffle.ts";
import { stageRelease, type AttackTruth, type AttackView } from "./view.ts";

export interface Scored {
  readonly success: Success;
  readonly chance: number;
  /** Guesses of pairs until one is right, beside those of somebody who knows nothing. */
  readonly guesswork?: Guesswork;
  /** How the success grew. */
  readonly stages?: readonly { readonly name: string; readonly success: Success }[];
}

/** What an attack answers for each encoding, before anybody says how right it is. */
export interface Findings {
  /** Best candidate, or undefined where the attack names none. */
  readonly candidates?: Int32Array;
  readonly scored: (truth: AttackTruth) => Scored;
  readonly details?: Readonly<Record<string, number | string>>;
}

export interface Attack {
  readonly about: string;
  readonly knowledge: readonly string[];
  /**
   * The scheme that it must break before its failure on another means anything: `linear`, or, where it looks for positions,
   * which linear has not, the shallowest network.
   */
  readonly control: "linear" | "shallow";
  readonly run: (view: AttackView, tools: Tools) => Promise<Findings>;
}

export interface Tools {
  readonly products: Products;
  /** Un-shuffled once and shared by attacks on the same view. */
  readonly unshuffled: () => Promise<Unshuffled>;
  readonly onProgress?: (done: number, total: number) => void;
}

const wholeImages = ({ scheme, shape }: AttackView): boolean =>
  releasedPatches(scheme, shape) === patchGrid(scheme, shape).patches;

const architecture = "the scheme and its sizes";
const encodings = "the encodings";

/** Encodings without a known pair, and the hits of a guess among them. */
function scoreOthers(view: AttackView, candidates: Int32Array, { candidateOf }: AttackTruth) {
  const known = new Set(view.known.map((pair) => pair.encoding));
  const others = [...candidateOf.keys()].filter((i) => !known.has(i) && candidateOf[i]! >= 0);
  const hits = others.filter((i) => candidates[i] === candidateOf[i]).length;
  return { success: successOf(hits, others.length), chance: 1 / others.length };
}

/** K1 on slots and on mean patches; the one that finds more of the pairs it was not fitted on is believed. */
async function knownPairs(view: AttackView, { products, unshuffled }: Tools, positions?: Int32Array) {
  const { known, codes, candidates } = view;
  if (known.length < 4)
    throw new LeadglassError("LG-USAGE-001", `known-pairs: ${known.length} known pairs; at least 4 were expected`, {
      hint: "Name pairs with --known, or use the attack matching, which needs none.",
    });
  const taken = new Set(known.map((pair) => pair.candidate));
  const free = [...Array(candidates.images).keys()].filter((c) => !taken.has(c));
  const slots = !wholeImages(view)
    ? []
    : [
        {
          route: "slots",
          aligned: positions ? reorder(codes, inverse(positions, codes.patches)) : (await unshuffled()).aligned,
          pixels: candidates,
        },
      ];
  const routes = [...slots, { route: "means", aligned: meansOf(codes), pixels: meansOf(candidates) }];
  const attempt = async ({ aligned, pixels }: (typeof routes)[number], pairs: typeof known) =>
    breakByKnownPairs(
      {
        aligned,
        known: pairs.map((pair) => pair.encoding),
        originals: pick(
          pixels,
          pairs.map((pair) => pair.candidate),
        ),
        ...(positions && aligned.patches > 1
          ? { layout: Int32Array.from({ length: aligned.patches }, (_, p) => p) }
          : {}),
      },
      products,
    );
  const half = known.filter((_, k) => k % 2 === 0);
  const rest = known.filter((_, k) => k % 2 === 1);
  let best = { route: routes[0]!, hits: -1 };
  for (const route of routes.length > 1 ? routes : []) {
    const broken = await attempt(route, half);
    const pixels = centred(
      pick(
        route.pixels,
        rest.map((pair) => pair.candidate),
      ),
      broken.mean,
    );
    const scores = await similarity(
      pick(
        broken.decoded,
        rest.map((pair) => pair.encoding),
      ),
      pixels,
      products,
    );
    const hits = nearest(scores, rest.length).filter((c, k) => c === k).length;
    if (hits > best.hits) best = { route, hits };
  }
  const broken = await attempt(best.route, known);
  const scores = await similarity(broken.decoded, centred(pick(best.route.pixels, free), broken.mean), products);
  const guesses = nearest(scores, codes.images).map((c) => free[c]!);
  known.forEach(({ encoding, candidate }) => (guesses[encoding] = candidate));
  return { guesses, route: best.route.route, broken };
}

/** The order that puts shuffled patches into their positions, for each image. */
function inverse(positions: Int32Array, patches: number): Int32Array {
  const out = new Int32Array(positions.length);
  positions.forEach((position, at) => (out[at - (at % patches) + position] = at % patches));
  return out;
}

/**
 * The break without pairs on slots, or, where the scheme marks no places, on mean patches. Which one is public.
 */
async function withoutPairs(view: AttackView, { products, unshuffled, onProgress }: Tools) {
  const { codes, candidates, scheme } = view;
  const options = onProgress ? { onProgress } : {};
  if (scheme.linear || scheme.position.kind === "none" || !wholeImages(view))
    return {
      route: "means",
      broken: await breakUnpaired({ aligned: meansOf(codes), candidates: meansOf(candidates) }, products, options),
    };
  const { aligned } = await unshuffled();
  return { route: "slots", broken: await breakUnpaired({ aligned, candidates }, products, options) };
}

/** All attacks by name. */
export const attacks: Readonly<Record<string, Attack>> = {
  unshuffle: {
    about: "puts patches back into common slots: the secret position vectors mark them",
    knowledge: [encodings],
    control: "shallow",
    run: async (view, { unshuffled }) => {
      const undone = await unshuffled();
      return {
        scored: ({ positions }) => ({
          success: slotSuccess(view, undone, positions),
          chance: 1 / patchGrid(view.scheme, view.shape).patches,
        }),
      };
    },
  },
  layout: {
    about: "K3: finds which slots are neighbours in the picture",
    knowledge: [encodings],
    control: "shallow",
    run: async (view, { unshuffled, products }) => {
      const undone = await unshuffled();
      const alike = await mostAlikeSlots(undone.aligned, products);
      const { down, across, patches } = patchGrid(view.scheme, view.shape);
      return {
        scored: ({ positions }) => {
          const { slots } = unshuffleSuccess(undone, positions, patches);
          const near = (p: number, q: number): boolean =>
            p !== q &&
            Math.abs(Math.floor(p / across) - Math.floor(q / across)) <= 1 &&
            Math.abs((p % across) - (q % across)) <= 1;
          const hits = alike.filter((t, s) => near(slots[s]!, slots[t]!)).length;
          // Ordered neighbours of the grid among ordered pairs.
          const neighbours = 2 * (down * (across - 1) + across * (down - 1) + 2 * (down - 1) * (across - 1));
          return { success: successOf(hits, alike.length), chance: neighbours / (patches * (patches - 1)) };
        },
      };
    },
  },
  linkage: {
    about: "K4: finds another image of the same patient among the encodings",
    knowledge: [encodings],
    control: "linear",
    run: async ({ codes }, { products }) => {
      const found = await nearestEncodings(codes, products);
      return {
        scored: ({ patients }) => {
          const sizes = new Map<number, number>();
          patients.forEach((p) => sizes.set(p, (sizes.get(p) ?? 0) + 1));
          const again = [...patients.keys()].filter((i) => sizes.get(patients[i]!)! > 1);
          if (again.length === 0)
            throw new LeadglassError("LG-USAGE-001", "linkage: no patient has two encodings in this release", {
              hint: "Make the challenge with --images-per-patient 2.",
            });
          const hits = again.filter((i) => patients[found[i]!] === patients[i]).length;
          const chance =
            again.reduce((sum, i) => sum + (sizes.get(patients[i]!)! - 1) / (patients.length - 1), 0) / again.length;
          return { success: successOf(hits, again.length), chance };
        },
      };
    },
  },
  "known-pairs": {
    about: "K1: decodes every encoding by a regression on a few known pairs",
    knowledge: [encodings, architecture, "some pairs of image and encoding", "the other originals, in unknown order"],
    control: "linear",
    run: async (view, tools) => {
      const { guesses, route, broken } = await knownPairs(view, tools);
      return {
        candidates: guesses,
        scored: (truth) => scoreOthers(view, guesses, truth),
        details: { route, pairs: view.known.length, explained: broken.decoder.explained },
      };
    },
  },
  matching: {
    about:
      "the break without any pair: matches the graph of similar encodings to the graph of similar images, then decodes",
    knowledge: [encodings, architecture, "the originals, in unknown order"],
    control: "linear",
    run: async (view, tools) => {
      const { route, broken } = await withoutPairs({ ...view, known: [] }, tools);
      return {
        candidates: broken.images,
        scored: ({ candidateOf }) => ({
          success: agreement(broken.images, candidateOf),
          chance: 1 / candidateOf.length,
          guesswork: attackerGuesswork(broken.scores, candidateOf),
          stages: broken.stages.flatMap(({ name, images }) =>
            images ? [{ name, success: agreement(images, candidateOf) }] : [],
          ),
        }),
        details: { route, graphsAgree: broken.agreement, explained: broken.decoder.explained },
      };
    },
  },
  mmd: {
    about:
      "R1: trains a linear encoder of its own on mean patches until the 19 kernels cannot tell its output from the release",
    knowledge: [encodings, architecture, "the originals, in unknown order"],
    control: "linear",
    run: async ({ codes, candidates, seed }, { onProgress }) => {
      const { images, loss } = await breakByMmd(
        { codes: meansOf(codes), candidates: meansOf(candidates) },
        { seed, ...(onProgress ? { onProgress } : {}) },
      );
      return {
        candidates: images,
        scored: ({ candidateOf }) => ({ success: agreement(images, candidateOf), chance: 1 / candidateOf.length }),
        details: { loss },
      };
    },
  },
};

function slotSuccess(view: AttackView, undone: Unshuffled, positions: Int32Array): Success {
  return unshuffleSuccess(undone, positions, patchGrid(view.scheme, view.shape).patches).success;
}

export const attackNames = Object.keys(attacks);

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

const runOne = async (
  name: string,
  view: AttackView,
  onProgress?: Tools["onProgress"],
  shared?: Map<string, Unshuffled>,
) => {
  await using products = await startProducts();
  let undone = shared?.get("unshuffled");
  const unshuffled = async (): Promise<Unshuffled> => {
    undone ??= await unshuffle(view.codes, products);
    shared?.set("unshuffled", undone);
    return undone;
  };
  // Awaited here: the engine lives until the end of this block.
  return await attacks[name]!.run(view, { products, unshuffled, ...(onProgress ? { onProgress } : {}) });
};

/** The scheme that an attack must break, in the sizes of the one attacked. */
const controlScheme = (scheme: Scheme, kind: Attack["control"]): Scheme =>
  kind === "linear"
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

/**
 * Runs an attack, scores it where the answers are given, and runs it against its positive control, made here of the
 * candidates under a fresh key. An attack whose success on the control does not exceed chance is invalid.
 * Throws LG-USAGE-001 for an unknown attack, or where the attack lacks what it needs.
 */
export async function runAttack(
  name: string,
  view: AttackView,
  {
    truth,
    control = true,
    shared,
    onProgress,
  }: {
    readonly truth?: AttackTruth;
    readonly control?: boolean;
    readonly shared?: Map<string, Unshuffled>;
    readonly onProgress?: (done: number, total: number) => void;
  } = {},
): Promise<AttackReport & { readonly candidates: Int32Array | undefined }> {
  const attack = Object.hasOwn(attacks, name) ? attacks[name] : undefined;
  if (!attack)
    throw new LeadglassError("LG-USAGE-001", `attack ${name}: there is no such attack`, {
      hint: `Choose one of ${attackNames.join(", ")}, or all.`,
    });
  const start = performance.now();
  const findings = await runOne(name, view, onProgress, shared);
  const seconds = (performance.now() - start) / 1000;
  const scored = truth ? findings.scored(truth) : undefined;
  let controlled: AttackReport["control"] = null;
  if (control) {
    const scheme = controlScheme(view.scheme, attack.control);
    // Two images a patient do not exist among candidates without their patients, so linkage is controlled by the owner's.
    const patients = truth
      ? Int32Array.from(
          { length: view.candidates.images },
          (_, c) => truth.patients[truth.candidateOf.indexOf(c)] ?? -1,
        )
      : undefined;
    if (name !== "linkage" || patients) {
      const { mean, deviation } = view.scheme.pixels;
      const pixels = pixelsOfPatches(view.candidates, { ...view.shape, side: view.scheme.patch });
      const staged = await stageRelease({
        pixels: pixels.map((x) => x * deviation + mean),
        patients: patients ?? Array.from({ length: view.candidates.images }, (_, i) => i),
        scheme,
        shape: view.shape,
        known: Math.max(view.known.length, name === "known-pairs" ? 4 : 0),
        seed: view.seed,
        random: seededRandom(view.seed, "control"),
      });
      const { success, chance } = (await runOne(name, staged.view)).scored(staged.truth);
      controlled = { scheme: scheme.name, success, chance };
    }
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
    candidates: findings.candidates,
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
  const tools: Tools = { products, unshuffled: () => Promise.resolve(undone) };
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
