/** The attacks: what each knows, how it is run, and how right it was beside chance. */
import { LeadglassError } from "../../errors.ts";
import { patchGrid } from "../schemes/scheme.ts";
import { agreement, successOf, type Success } from "./arrays.ts";
import { architecture, encodings, hasSlots, originals, pairs, type Attack } from "./attack.ts";
import { knownPairs, withoutPairs } from "./breaks.ts";
import { contrastive } from "./contrastive.ts";
import { attackerGuesswork } from "./guesswork.ts";
import { inferenceAttacks } from "./inference.ts";
import { mostAlike, mostAlikeSlots, nearestEncodings } from "./layout.ts";
import { meansOf } from "./means.ts";
import { breakByMmd } from "./mmd.ts";
import { referenceAttacks } from "./reference.ts";
import { evidenceOf } from "./surrogates.ts";
import { unshuffleSuccess, type Unshuffled } from "./unshuffle.ts";
import type { AttackTruth, AttackView } from "./view.ts";

/** Encodings without a known pair, and the hits of a guess among them. */
function scoreOthers(view: AttackView, candidates: Int32Array, { candidateOf }: AttackTruth) {
  const known = new Set(view.known.map((pair) => pair.encoding));
  const others = [...candidateOf.keys()].filter((i) => !known.has(i) && candidateOf[i]! >= 0);
  const hits = others.filter((i) => candidates[i] === candidateOf[i]).length;
  return { success: successOf(hits, others.length), chance: 1 / others.length };
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
    about:
      "K4: finds another image of the same patient among the encodings: the one most alike, slot by slot if there are slots",
    knowledge: [encodings],
    control: "linear",
    run: async (view, { products, unshuffled }) => {
      const found = hasSlots(view)
        ? mostAlike((await evidenceOf((await unshuffled()).aligned, products)).slotGraph)
        : await nearestEncodings(view.codes, products);
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
    knowledge: [encodings, architecture, pairs, originals],
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
      "the break without any pair: encodes the originals under keys of its own, compares lengths and likenesses, then decodes",
    knowledge: [encodings, architecture, originals],
    control: "linear",
    run: async (view, tools) => {
      const { route, broken } = await withoutPairs({ ...view, known: [] }, tools);
      return {
        candidates: broken.images,
        scored: ({ candidateOf }) => ({
          success: agreement(broken.images, candidateOf),
          chance: 1 / candidateOf.length,
          guesswork: attackerGuesswork(broken.scores, candidateOf),
          stages: broken.stages.map(({ name, images }) => ({ name, success: agreement(images, candidateOf) })),
        }),
        details: { route, graphsAgree: broken.agreement, explained: broken.decoder.explained },
      };
    },
  },
  mmd: {
    about:
      "R1: trains a linear encoder of its own on mean patches until the 19 kernels cannot tell its output from the release",
    knowledge: [encodings, architecture, originals],
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
  contrastive,
  ...referenceAttacks,
  ...inferenceAttacks,
};

function slotSuccess(view: AttackView, undone: Unshuffled, positions: Int32Array): Success {
  return unshuffleSuccess(undone, positions, patchGrid(view.scheme, view.shape).patches).success;
}

export const attackNames = Object.keys(attacks);
