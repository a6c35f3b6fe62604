/**
 * The reference's attackers R1 to R9: networks of the public architecture, trained without the key. Where the published
 * suite is crippled by construction (elementwise errors of shuffled patches, batches that mix labels), what it meant is done.
 * Source: yala/NeuraCrypt, sandstone/learn/lightning/adversarial_attack.py and configs/cxr, as the specification lists them.
 */
import { assignBest } from "../../math/assignment.ts";
import { abs, add, concat, input, mul, neg, reduceMean, scalar, softplus, sub, graphOf } from "../../graph/index.ts";
import { kernelRidge, linearKernel, standardised } from "../../math/kernel-ridge.ts";
import { seededRandom } from "../../math/random.ts";
import { collectParameters, setTransformer, truncatedNormal } from "../../nn/index.ts";
import type { Engine, Feeds } from "../../runtime/index.ts";
import { LeadglassError } from "../../errors.ts";
import {
  architecture,
  balancedSuccess,
  distances,
  encodings,
  hasSlots,
  matched,
  matchesOf,
  originals,
  others,
  pairs,
  type Attack,
  type Findings,
  type Tools,
} from "./attack.ts";
import { agreement, centred, meanImage, pick, reorder, vectors, type Success, type Vectors } from "./arrays.ts";
import { layoutFromEnergies } from "./decoder.ts";
import { encodeLearned, encoderOn, sizesOf, type EncoderSizes } from "./learned-encoder.ts";
import { meansOf } from "./means.ts";
import { minimise, type Minimised } from "./minimise.ts";
import { mmd } from "./mmd.ts";
import type { AttackView } from "./view.ts";

/** Images of a batch; the reference's 32 to 64 would take a minute a step on two cores at full width. */
const batchRows = 16;

const missing = (attack: string, what: string, hint: string): LeadglassError =>
  new LeadglassError("LG-USAGE-001", `${attack}: ${what}`, { hint });

/** Some images of a set, drawn for a step. */
function drawn(set: Vectors, rows: number, seed: number, purpose: string, step: number): number[] {
  const random = seededRandom(seed, purpose, step);
  return Array.from({ length: rows }, () => random.integer(set.images));
}

const tensor = (set: Vectors) => ({ data: set.data, shape: [set.images, set.patches, set.width] });

/** A linear encoder of mean patches makes the mean of encodings, at a small part of the cost. */
const seenBy = (sizes: EncoderSizes, images: Vectors): Vectors => (sizes.linear ? meansOf(images) : images);

export interface LearnedKey {
  readonly sizes: EncoderSizes;
  readonly parameters: Minimised["parameters"];
  readonly losses: Minimised["losses"];
  readonly steps: number;
}

/** R1 and R6: trains an encoder until the mean patches of what it makes are distributed as those of the release. */
export async function learnByMmd(
  name: string,
  { codes, seed }: Pick<AttackView, "codes" | "seed">,
  source: Vectors | "noise",
  like: Vectors,
  sizes: EncoderSizes,
  { limits, onProgress }: Pick<Tools, "limits" | "onProgress">,
  { steps = 200, learningRate = 1e-3 }: { readonly steps?: number; readonly learningRate?: number } = {},
): Promise<LearnedKey> {
  const images = source === "noise" ? like : seenBy(sizes, source);
  const means = meansOf(codes);
  const rows = Math.min(2 * batchRows, codes.images, images.images);
  const { made, parameters } = encoderOn("x", [rows, images.patches, images.width], sizes);
  const y = input("y", [rows, codes.width]);
  const found = await minimise(
    {
      ...{ name, seed, steps, learningRate, weightDecay: 1e-3 },
      turns: [{ name: "mmd", loss: mmd(reduceMean(made, [1]), y), parameters }],
      feeds: (step): Feeds => {
        const target = pick(means, drawn(means, rows, seed, `${name} real`, step));
        const random = seededRandom(seed, `${name} noise`, step);
        const batch =
          source === "noise"
            ? { ...images, images: rows, data: Float32Array.from({ length: rows * images.patches * images.width }, () => random.gaussian()) } // prettier-ignore
            : pick(images, drawn(images, rows, seed, `${name} images`, step));
        return { x: tensor(batch), y: { data: target.data, shape: y.shape } };
      },
    },
    { ...limits, ...(onProgress ? { onProgress } : {}) },
  );
  return { sizes, ...found };
}

/** The candidate of each encoding by mean patches under a learned key: the reference's rule R8, and one to one. */
async function identify(view: AttackView, key: LearnedKey, { products }: Tools): Promise<Findings> {
  const { candidates, codes } = view;
  const made = await encodeLearned(seenBy(key.sizes, candidates), key.sizes, key.parameters, { reduce: true });
  const away = await distances(meansOf(codes), made, products);
  const { losses, steps } = key;
  return matched(matchesOf(away, codes.images), { ...losses, steps });
}

/** R2: a discriminator on sets tells the release from what the encoder makes; each learns from the other. */
async function learnAdversarially(view: AttackView, { limits, onProgress }: Tools): Promise<LearnedKey> {
  const { codes, candidates, seed, labels } = view;
  if (codes.patches !== candidates.patches)
    throw missing("adversarial", "the release drops patches", "This attack compares whole sets; use mmd-encoder.");
  const sizes = sizesOf(view.scheme);
  const rows = Math.min(batchRows / 2, codes.images);
  const { made, parameters } = encoderOn("x", [rows, candidates.patches, candidates.width], sizes);
  const y = input("y", [rows, codes.patches, codes.width]);
  const [signs, own, label] = [
    input("signs", [2 * rows, 1]),
    input("own", [2 * rows, 1]),
    input("label", [2 * rows, 1, 1]),
  ];
  // Both halves go through at once: first the release's sets, then those that the encoder made.
  const { result: logits, parameters: judging } = collectParameters("discriminator.", (scope) => {
    const sets = concat([y, made], 0);
    if (!labels) return setTransformer(scope, sets, 1, { heads: 4, headWidth: 32 });
    // As the published code: one more token, which says the label.
    const [no, yes] = ["no", "yes"].map((l) => scope.parameter(`label.${l}`, [1, 1, codes.width], truncatedNormal(1)));
    const token = add(mul(yes!, label), mul(no!, sub(scalar(1), label)));
    return setTransformer(scope, concat([sets, token], 1), 1, { heads: 4, headWidth: 32 });
  });
  const name = "adversarial";
  const half = (first: number, second: number): Float32Array =>
    Float32Array.from({ length: 2 * rows }, (_, r) => (r < rows ? first : second));
  const found = await minimise(
    {
      ...{ name, seed, steps: 100, learningRate: 1e-4 },
      turns: [
        { name: "discriminator", loss: reduceMean(softplus(neg(mul(signs, logits))), [0, 1]), parameters: judging },
        // What was made, as if it were of the release.
        { name: "encoder", loss: mul(scalar(2), reduceMean(mul(own, softplus(neg(logits))), [0, 1])), parameters },
      ],
      feeds: (step): Feeds => {
        const real = drawn(codes, rows, seed, `${name} real`, step);
        const mine = drawn(candidates, rows, seed, `${name} images`, step);
        const known = (table: Float32Array | undefined, i: number): number => (table && !Number.isNaN(table[i]!) ? table[i]! : 0.5); // prettier-ignore
        const says = [...real.map((i) => known(labels?.codes, i)), ...mine.map((i) => known(labels?.candidates, i))];
        return {
          x: tensor(pick(candidates, mine)),
          y: tensor(pick(codes, real)),
          signs: { data: half(1, -1), shape: signs.shape },
          own: { data: half(0, 1), shape: own.shape },
          label: { data: Float32Array.from(says), shape: label.shape },
        };
      },
    },
    { ...limits, ...(onProgress ? { onProgress } : {}) },
  );
  return { sizes, ...found };
}

/** Steps of R4 between two assignments of slots to positions. */
const renewSteps = 50;

/**
 * R4: trains an encoder on known pairs. Where slots are known, on every patch, slots being assigned to positions anew by
 * the encoder itself (the loss does not depend on the order); otherwise on mean patches.
 */
async function learnFromPairs(view: AttackView, aligned: Vectors | undefined, tools: Tools): Promise<LearnedKey> {
  const { candidates, known, seed } = view;
  if (known.length < 4)
    throw missing("plaintext", `${known.length} known pairs; at least 4 were expected`, "Name pairs with --known.");
  const { limits, onProgress, products } = tools;
  const sizes = sizesOf(view.scheme);
  const images = pick(
    seenBy(sizes, candidates),
    known.map((pair) => pair.candidate),
  );
  const codes = pick(
    aligned ?? meansOf(view.codes),
    known.map((pair) => pair.encoding),
  );
  const rows = Math.min(batchRows / 2, known.length);
  const { made, parameters } = encoderOn("x", [rows, images.patches, images.width], sizes);
  const y = input("y", [rows, codes.patches, codes.width]);
  let layout = aligned ? await layoutFromEnergies(centred(codes), centred(images), products) : undefined;
  const renew = async (engine: Engine): Promise<void> => {
    const program = await engine.load(graphOf("pairs so far", { made }), { seldom: true });
    let scores = new Float64Array(codes.patches ** 2);
    for (let start = 0; start + rows <= images.images; start += rows) {
      const chosen = Array.from({ length: rows }, (_, r) => start + r);
      const { made: now } = await program.run({ x: tensor(pick(images, chosen)) });
      const set = vectors(now!.data as Float32Array, rows, codes.patches, codes.width);
      const part = await distances(byPlace(pick(codes, chosen)), byPlace(set), products);
      scores = scores.map((v, at) => v - part[at]!);
    }
    layout = assignBest(scores, codes.patches, codes.patches);
    await program[Symbol.asyncDispose]();
  };
  const name = "plaintext";
  const found = await minimise(
    {
      ...{ name, seed, steps: 400, learningRate: 1e-3 },
      turns: [{ name: "error", loss: reduceMean(abs(sub(aligned ? made : reduceMean(made, [1], true), y)), [0, 1, 2]), parameters }], // prettier-ignore
      feeds: async (step, engine): Promise<Feeds> => {
        if (layout && step > 0 && step % renewSteps === 0) await renew(engine);
        const chosen = drawn(images, rows, seed, name, step);
        const target = pick(codes, chosen);
        return { x: tensor(pick(images, chosen)), y: tensor(layout ? reorder(target, inverted(layout)) : target) };
      },
    },
    { ...limits, ...(onProgress ? { onProgress } : {}) },
  );
  return { sizes, ...found };
}

/** [images, patches, width] as one vector a patch: what happens at each place. */
function byPlace({ images, patches, width, data }: Vectors): Vectors {
  const out = new Float32Array(data.length);
  for (let i = 0; i < images; i++)
    for (let p = 0; p < patches; p++)
      out.set(data.subarray((i * patches + p) * width, (i * patches + p + 1) * width), (p * images + i) * width);
  return vectors(out, patches, 1, images * width);
}

function inverted(order: Int32Array): Int32Array {
  const out = new Int32Array(order.length);
  order.forEach((p, s) => (out[p] = s));
  return out;
}

/** R5: pairs whose pairing is unknown, paired by chance; what can be learned so is the mean. */
async function learnFromMispairs(
  { codes, candidates, scheme, seed }: AttackView,
  { limits, onProgress }: Tools,
): Promise<LearnedKey> {
  // prettier-ignore
  const sizes = sizesOf(scheme);
  const images = seenBy(sizes, candidates);
  const means = meansOf(codes);
  const rows = Math.min(batchRows, codes.images);
  const { made, parameters } = encoderOn("x", [rows, images.patches, images.width], sizes);
  const y = input("y", [rows, codes.width]);
  const error = sub(reduceMean(made, [1]), y);
  const found = await minimise(
    {
      ...{ name: "mispaired", seed, steps: 100, learningRate: 1e-3 },
      turns: [{ name: "error", loss: reduceMean(mul(error, error), [0, 1]), parameters }],
      feeds: (step): Feeds => {
        const chosen = drawn(images, rows, seed, "mispaired", step);
        return { x: tensor(pick(images, chosen)), y: { data: pick(means, chosen).data, shape: y.shape } };
      },
    },
    { ...limits, ...(onProgress ? { onProgress } : {}) },
  );
  return { sizes, ...found };
}

/** What a classifier that is fitted on the mean patches of some images says of others. */
function labelScores(fit: Vectors, labels: Float32Array, ask: Vectors): Float64Array {
  const known = Array.from(labels.keys()).filter((i) => !Number.isNaN(labels[i]!));
  const rows = fit.images + ask.images;
  const data = Float64Array.from([...centred(fit).data, ...centred(ask).data]);
  const asked = Array.from({ length: ask.images }, (_, i) => fit.images + i);
  const table = standardised({ rows, columns: fit.width, data }, [...known]);
  return kernelRidge(linearKernel(table), rows, [...labels, ...asked.map(() => 0)], {
    fit: known,
    ask: asked,
    ridge: 0.1 * known.length ** 0.5,
  });
}

/** Of attackers of other depths and widths (R3): what each is, in steps of the reference's configurations. */
const otherSizes: readonly { readonly depth?: number; readonly widening?: number }[] = [
  { depth: 0 },
  {},
  { depth: 0, widening: 2 },
];

export const referenceAttacks: Readonly<Record<string, Attack>> = {
  "mmd-encoder": {
    about: "R1 with R8: an encoder of the scheme's own architecture, trained by the 19 kernels",
    knowledge: [encodings, architecture, originals],
    control: "linear",
    run: async (view, tools) => {
      const key = await learnByMmd("mmd-encoder", view, view.candidates, view.candidates, sizesOf(view.scheme), tools, {
        ...(view.scheme.linear ? { steps: 1500 } : {}),
      });
      return identify(view, key, tools);
    },
  },
  across: {
    about: "R3: R1 with attackers of other depths and widths; the one that the kernels tell least is believed",
    knowledge: [encodings, architecture, originals],
    control: "linear",
    run: async (view, tools) => {
      const tried: { name: string; findings: Findings; loss: number }[] = [];
      for (const other of view.scheme.linear ? otherSizes.slice(0, 1) : otherSizes) {
        const sizes = sizesOf(view.scheme, other);
        const name = `depth ${sizes.depth}, width ${sizes.width}`;
        const limits = { ...tools.limits };
        if (limits.checkpoint !== undefined)
          Object.assign(limits, { checkpoint: `${limits.checkpoint}-${tried.length}` });
        const key = await learnByMmd(`across ${name}`, view, view.candidates, view.candidates, sizes, { ...tools, limits }, {
          ...(view.scheme.linear ? { steps: 1500 } : { steps: 100 }),
        }); // prettier-ignore
        tried.push({ name, findings: await identify(view, key, tools), loss: key.losses["mmd"]! });
      }
      const best = tried.reduce((a, b) => (b.loss < a.loss ? b : a));
      return {
        candidates: best.findings.candidates!,
        scored: (truth) => ({
          ...best.findings.scored(truth),
          stages: tried.map(({ name, findings }) => ({ name, success: findings.scored(truth).success })),
        }),
        details: { believed: best.name, mmd: best.loss },
      };
    },
  },
  adversarial: {
    about: "R2: an encoder trained against a discriminator on sets with the published labels",
    knowledge: [encodings, architecture, originals, "labels"],
    control: "linear",
    run: async (view, tools) => identify(view, await learnAdversarially(view, tools), tools),
  },
  plaintext: {
    about: "R4: an encoder trained on known pairs, with a loss that does not depend on the order of patches",
    knowledge: [encodings, architecture, pairs, originals],
    control: "linear",
    run: async (view, tools) => {
      const aligned = hasSlots(view) ? (await tools.unshuffled()).aligned : undefined;
      const key = await learnFromPairs(view, aligned, tools);
      // Mean patches under the learned key: no order to be found for the images that are no pairs.
      const { candidates, codes, known } = view;
      const made = await encodeLearned(seenBy(key.sizes, candidates), key.sizes, key.parameters, { reduce: true });
      const means = meansOf(codes);
      const away = await distances(centred(means), centred(made), tools.products);
      const { images, nearest } = matchesOf(away, codes.images);
      const isKnown = new Map(known.map(({ encoding, candidate }) => [encoding, candidate]));
      return {
        candidates: Int32Array.from(images, (c, i) => isKnown.get(i) ?? c),
        scored: ({ candidateOf }) => {
          const rest = [...candidateOf.keys()].filter((i) => !isKnown.has(i));
          const right = (guess: Int32Array): Success =>
            agreement(
              rest.map((i) => guess[i]!),
              rest.map((i) => candidateOf[i]!),
            );
          return {
            success: right(images),
            chance: 1 / rest.length,
            stages: [
              { name: "each on its own", success: right(nearest) },
              { name: "one to one", success: right(images) },
            ],
          };
        },
        details: { ...key.losses, steps: key.steps, pairs: known.length },
      };
    },
  },
  mispaired: {
    about: "R5: an encoder trained on pairs whose pairing is a guess",
    knowledge: [encodings, architecture, originals],
    control: "linear",
    run: async (view, tools) => identify(view, await learnFromMispairs(view, tools), tools),
  },
  noise: {
    about: "R6: R1 with noise in place of images",
    knowledge: [encodings, architecture],
    control: "linear",
    run: async (view, tools) =>
      identify(view, await learnByMmd("noise", view, "noise", seenBy(sizesOf(view.scheme), view.candidates), sizesOf(view.scheme), tools, { steps: 100 }), tools), // prettier-ignore
  },
  transfer: {
    about: "R7: a classifier trained on other images under the key that R1 found tells the encodings' label",
    knowledge: [encodings, architecture, `${others}, with labels`],
    control: "linear",
    run: async (view, tools) => {
      const { outsiders, labels, codes } = view;
      if (!outsiders || !labels)
        throw missing("transfer", "no other images with labels", "Give --public a larger cohort.");
      const sizes = sizesOf(view.scheme);
      const key = await learnByMmd("transfer", view, outsiders, outsiders, sizes, tools, {
        ...(sizes.linear ? { steps: 1500 } : { steps: 100 }),
      });
      const scoresUnder = async (parameters: LearnedKey["parameters"]): Promise<Float64Array> => {
        const made = await encodeLearned(seenBy(sizes, outsiders), sizes, parameters, { reduce: true });
        return labelScores(made, labels.outsiders, meansOf(codes));
      };
      const scores = await scoresUnder(key.parameters);
      return {
        scored: () => balancedSuccess(scores, labels.codes, view.seed),
        details: { ...key.losses, steps: key.steps },
      };
    },
  },
  imitation: {
    about:
      "R9: makes the mean encodings of given images without the key: by a regression on known pairs, or else by R1",
    knowledge: [encodings, architecture, `${others}, or known pairs`],
    control: "linear",
    run: async (view, tools) => {
      const { targets, outsiders, known, codes, candidates } = view;
      if (!targets || !outsiders) throw missing("imitation", "no targets", "Make the challenge with --targets.");
      const sizes = sizesOf(view.scheme);
      let made: Vectors;
      let route = "pairs";
      if (known.length >= 4) {
        // Mean patches of codes from images, as far as a kernel regression on pairs goes.
        const at = known.map((pair) => pair.candidate);
        made = regressed(pick(candidates, at), pick(meansOf(codes), known.map((pair) => pair.encoding)), targets); // prettier-ignore
      } else {
        route = "mmd";
        const key = await learnByMmd("imitation", view, outsiders, outsiders, sizes, tools, {
          ...(sizes.linear ? { steps: 1500 } : { steps: 100 }),
        });
        made = await encodeLearned(seenBy(sizes, targets), sizes, key.parameters, { reduce: true });
      }
      return {
        imitations: made,
        scored: ({ targetCodes }) => {
          if (!targetCodes)
            throw missing(
              "imitation",
              "the true encodings of the targets are not at hand",
              "Score targets.json with challenge score --key.",
            );
          // A target counts where no other imitation is nearer to its true encoding.
          const truth = vectors(targetCodes, made.images, 1, made.width);
          const own = Int32Array.from({ length: made.images }, (_, t) => t);
          return { success: agreement(own.map((t) => nearestRow(truth, t, made)), own), chance: 1 / made.images }; // prettier-ignore
        },
        details: { route },
      };
    },
  },
};

/** Mean codes of images by kernel ridge regression on pairs. */
function regressed(images: Vectors, codes: Vectors, asked: Vectors): Vectors {
  const each = images.patches * images.width;
  const rows = images.images + asked.images;
  const mean = meanImage(images);
  const data = Float64Array.from([...centred(images, mean).data, ...centred(asked, mean).data]);
  const kernel = linearKernel({ rows, columns: each, data });
  const fit = Array.from({ length: images.images }, (_, i) => i);
  const ask = Array.from({ length: asked.images }, (_, i) => images.images + i);
  const ridge = (0.01 * fit.reduce((sum, i) => sum + kernel[i * rows + i]!, 0)) / fit.length;
  const out = new Float32Array(asked.images * codes.width);
  for (let c = 0; c < codes.width; c++) {
    const found = kernelRidge(kernel, rows, Float64Array.from({ length: rows }, (_, r) => codes.data[r * codes.width + c] ?? 0), { fit, ask, ridge }); // prettier-ignore
    found.forEach((v, t) => (out[t * codes.width + c] = v));
  }
  return vectors(out, asked.images, 1, codes.width);
}

/** The row of `set` that is nearest to row `at` of `truth`. */
function nearestRow(truth: Vectors, at: number, set: Vectors): number {
  let [best, least] = [-1, Infinity];
  for (let j = 0; j < set.images; j++) {
    let sum = 0;
    for (let k = 0; k < set.width; k++) sum += (truth.data[at * set.width + k]! - set.data[j * set.width + k]!) ** 2;
    if (sum < least) [best, least] = [j, sum];
  }
  return best;
}
