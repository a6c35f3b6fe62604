/** What encodings tell besides who they show: attributes, membership, and what one hospital's breach means for another. */
import { LeadglassError } from "../../errors.ts";
import { kernelRidge, smoothKernel, standardised } from "../../math/kernel-ridge.ts";
import { mean, variance } from "../../math/statistics.ts";
import {
  architecture,
  balancedSuccess,
  encodings,
  matched,
  matchesOf,
  originals,
  type Attack,
  type Tools,
} from "./attack.ts";
import { centred, vectors, type Vectors } from "./arrays.ts";
import { knownPairs } from "./breaks.ts";
import { decode, fitDecoder, similarity } from "./decoder.ts";
import { meansOf } from "./means.ts";
import { encodeAtHome, evidenceOf, expectedEvidence } from "./surrogates.ts";
import type { AttackView } from "./view.ts";

const missing = (attack: string, what: string, hint: string): LeadglassError =>
  new LeadglassError("LG-USAGE-001", `${attack}: ${what}`, { hint });

/** Two sets of images as one. */
const together = (a: Vectors, b: Vectors): Vectors => {
  const data = new Float32Array(a.data.length + b.data.length);
  data.set(a.data);
  data.set(b.data, a.data.length);
  return vectors(data, a.images + b.images, a.patches, a.width);
};

/** For each suspect, how near the nearest encoding comes: by decoding, where pairs are known, or by lengths of patches. */
async function nearness(
  view: AttackView,
  suspects: Vectors,
  tools: Tools,
): Promise<{ route: string; scores: number[] }> {
  const { codes, known, scheme, shape, seed } = view;
  if (known.length >= 4) {
    const { route, broken } = await knownPairs(view, tools);
    // Decoded mean patches are too alike to tell a member; lengths tell more.
    if (route === "slots") {
      const scores = await similarity(broken.decoded, centred(suspects, broken.mean), tools.products);
      const taken = new Set(known.map((pair) => pair.encoding));
      const free = [...Array(codes.images).keys()].filter((i) => !taken.has(i));
      const best = Array.from({ length: suspects.images }, (_, c) =>
        Math.max(...free.map((i) => scores[i * suspects.images + c]!)),
      );
      return { route: "decoded", scores: best };
    }
  }
  const seen = await evidenceOf(codes, tools.products);
  const expected = await expectedEvidence(suspects, scheme, shape, tools.products, { seed });
  const levels = seen.levels.length / codes.images;
  const scale = Array.from({ length: levels }, (_, l) => {
    const column = Float64Array.from({ length: codes.images }, (_, i) => seen.levels[i * levels + l]!);
    return { centre: mean(column), deviation: Math.sqrt(variance(column)) + 1e-9 };
  });
  // Lengths are a little off from key to key: both sides are brought to the same centre.
  const shift = Array.from({ length: levels }, (_, l) =>
    mean(Float64Array.from({ length: suspects.images }, (_, i) => expected.levels[i * levels + l]!)),
  );
  const scores = Array.from({ length: suspects.images }, (_, c) => {
    let least = Infinity;
    for (let i = 0; i < codes.images; i++) {
      let sum = 0;
      for (let l = 0; l < levels; l++) {
        const { centre, deviation } = scale[l]!;
        const gap = seen.levels[i * levels + l]! - centre - (expected.levels[c * levels + l]! - shift[l]!);
        sum += (gap / deviation) ** 2;
      }
      least = Math.min(least, sum);
    }
    return -least;
  });
  return { route: "lengths", scores };
}

/** The breached key of another hospital: one that the attacker has in full. */
export const breachedKey = 100;

export const inferenceAttacks: Readonly<Record<string, Attack>> = {
  attribute: {
    about: "infers an attribute that was not published from that of half of the patients",
    knowledge: [encodings, "the attribute of half of the patients"],
    control: "linear",
    run: ({ codes, attribute, seed }) => {
      if (!attribute) throw missing("attribute", "no attribute is given", "Name a column with --attribute.");
      const { images, width, data } = centred(meansOf(codes));
      const fit = [...Array(images).keys()].filter((i) => !Number.isNaN(attribute.codes[i]!));
      const ask = [...Array(images).keys()].filter((i) => Number.isNaN(attribute.codes[i]!));
      const table = standardised({ rows: images, columns: width, data: Float64Array.from(data) }, fit);
      const found = kernelRidge(smoothKernel(table), images, attribute.codes, { fit, ask, ridge: 1 });
      return Promise.resolve({
        scored: ({ attribute: truth }) => {
          if (!truth) throw missing("attribute", "the attribute of the others is not known", "Give --answers.");
          return balancedSuccess(
            found,
            ask.map((i) => truth[i]!),
            seed,
          );
        },
        details: { attribute: attribute.name, known: fit.length },
      });
    },
  },
  membership: {
    about: "tells images of the release from others: by known pairs, or else by keys of its own",
    knowledge: [encodings, architecture, "images of which half are in the release", "pairs, where there are some"],
    control: "linear",
    run: async (view, tools) => {
      const { outsiders, candidates, known, seed } = view;
      if (!outsiders) throw missing("membership", "no images outside the release", "Give --public a larger cohort.");
      const { route, scores } = await nearness(view, together(candidates, outsiders), tools);
      const taken = new Set(known.map((pair) => pair.candidate));
      const labels = [...Array(candidates.images).keys()].map((c) => (taken.has(c) ? Number.NaN : 1));
      labels.push(...Array<number>(outsiders.images).fill(0));
      return { scored: () => balancedSuccess(scores, labels, seed), details: { route } };
    },
  },
  "other-key": {
    about: "uses all pairs of another hospital, whose key was breached, against this one",
    knowledge: [encodings, architecture, "all images and encodings under another key", originals],
    control: "breached",
    run: async (view, { products }) => {
      const { outsiders, codes, candidates, scheme, shape, seed } = view;
      if (!outsiders) throw missing("other-key", "no images outside the release", "Give --public a larger cohort.");
      const made = await encodeAtHome(outsiders, scheme, shape, { seed, key: breachedKey });
      // Patch by patch where patches stay in their positions; the decoder of patches is that of their mean as well.
      const byPatch = made.patches === outsiders.patches;
      const [seen, pixels] = byPatch ? [made, outsiders] : [meansOf(made), meansOf(outsiders)];
      const layout = Int32Array.from({ length: seen.patches }, (_, p) => p);
      const decoder = await fitDecoder(centred(seen), centred(pixels), layout, products, { rounds: 1 });
      const ofMeans = { ...decoder, layout: Int32Array.of(0) };
      // The release is centred on itself: what is common to its encodings says nothing of one of them.
      const decoded = await decode(centred(meansOf(codes)), ofMeans, products);
      const asked = meansOf(candidates);
      const scores = await similarity(decoded, centred(asked), products);
      return matched(matchesOf(Float64Array.from(scores, (x) => -x), codes.images), { pairs: outsiders.images }); // prettier-ignore
    },
  },
};
