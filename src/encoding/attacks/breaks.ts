/** The closed-form breaks as attackers run them: which route a scheme leaves open is public, and tried. */
import { LeadglassError } from "../../errors.ts";
import { hasSlots, wholeImages, type Tools } from "./attack.ts";
import { centred, pick, reorder } from "./arrays.ts";
import { nearest, similarity } from "./decoder.ts";
import { breakByKnownPairs } from "./known-pairs.ts";
import { meansOf } from "./means.ts";
import { evidenceOf, expectedEvidence } from "./surrogates.ts";
import { decodeMatch, matchByEvidence } from "./unpaired.ts";
import type { AttackView } from "./view.ts";

/** K1 on slots and on mean patches; the one that finds more of the pairs it was not fitted on is believed. */
export async function knownPairs(view: AttackView, { products, unshuffled }: Tools, positions?: Int32Array) {
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
 * The break without pairs: on slots and, where the scheme marks no places or they do not suffice, on patches in any order.
 * The match under which the graphs of images agree best is believed.
 */
export async function withoutPairs(view: AttackView, { products, unshuffled, onProgress }: Tools) {
  const { codes, candidates, scheme, shape, seed } = view;
  const keys = 4;
  const expected = await expectedEvidence(candidates, scheme, shape, products, {
    ...{ seed, keys },
    onProgress: (done) => onProgress?.(done, keys + 4),
  });
  const aligned = hasSlots(view) ? (await unshuffled()).aligned : undefined;
  const seen = await evidenceOf(aligned ?? codes, products);
  const inSlots = aligned ? await matchByEvidence(seen, expected, products, { slots: true }) : undefined;
  const options = { onProgress: (done: number) => onProgress?.(keys + done, keys + 4) };
  if (aligned && inSlots && inSlots.agreement >= 0.5) {
    const graphs = { seen: seen.slotGraph, expected: expected.slotGraph };
    return { route: "slots", broken: await decodeMatch({ aligned, candidates }, inSlots, graphs, products, options) };
  }
  const anyOrder = await matchByEvidence(seen, expected, products, { slots: false });
  const means = { aligned: meansOf(codes), candidates: meansOf(candidates) };
  const graphs = { seen: seen.meanGraph, expected: expected.meanGraph };
  const match = inSlots && inSlots.agreement > anyOrder.agreement ? { ...inSlots, layout: undefined } : anyOrder;
  return { route: "means", broken: await decodeMatch(means, match, graphs, products, options) };
}
