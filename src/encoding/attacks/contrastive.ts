/**
 * The published break, and an expectation over keys: what survives any key of the family is learned on keys of the
 * attacker's own, from moments of patches, by contrast; then patches and images are assigned in turn, and the key is
 * recovered. Source: Carlini, Garg, Jha, Mahloujifar, Mahmoody, Tramer, NeuraCrypt is not private, arXiv 2108.07256, and its
 * code (tensorflow/privacy, research/neuracrypt_attack_2021), steps S0 to S6, at a scale for two cores. The key is
 * recovered as a linear decoder instead of a network.
 */
import { add, exp, gemm, leakyRelu, input, logSoftmax, mul, reduceMean, reduceSum, scalar, sqrt, transposeLast, constant, div, clip, type Value } from "../../graph/index.ts"; // prettier-ignore
import { assignBest } from "../../math/assignment.ts";
import { seededRandom } from "../../math/random.ts";
import { collectParameters, dense, zeros, type Scope } from "../../nn/index.ts";
import { agreement, centred, pick, vectors, type Vectors } from "./arrays.ts";
import { architecture, encodings, hasSlots, originals, type Attack, type Tools } from "./attack.ts";
import { decode, fitDecoder, similarity, standardiseRows } from "./decoder.ts";
import { LeadglassError } from "../../errors.ts";
import { evaluateLearned, minimise, type Minimised } from "./minimise.ts";
import { encodeAtHome, transposed } from "./surrogates.ts";
import type { AttackView } from "./view.ts";

/** Mean and thirteen more: roots of the absolute central moments 2 to 14, which no mixing of many units hides. */
const moments = 14;

/** S1: moments of every patch, [images * patches, moments], each brought to mean 0 and deviation 1 over all patches. */
export function patchMoments({ images, patches, width, data }: Vectors): Float32Array {
  const rows = images * patches;
  const out = new Float32Array(rows * moments);
  const sums = new Float64Array(moments + 1);
  for (let r = 0; r < rows; r++) {
    let mean = 0;
    for (let k = 0; k < width; k++) mean += data[r * width + k]! / width;
    sums.fill(0);
    for (let k = 0; k < width; k++) {
      const x = data[r * width + k]! - mean;
      let power = x;
      for (let m = 2; m <= moments; m++) sums[m]! += power *= x;
    }
    out[r * moments] = mean;
    for (let m = 2; m <= moments; m++)
      out[r * moments + m - 1] = Math.log(Math.abs(sums[m]! / width) ** (1 / m) + 1e-6);
  }
  return transposed(standardiseRows(transposed(out, rows), moments), moments);
}

const embedding = 8;

/** S2: moments to a point on the unit sphere. */
function embed(scope: Scope, x: Value): Value {
  const first = leakyRelu(dense(scope.at("0"), x, 64));
  const y = dense(scope.at("2"), leakyRelu(dense(scope.at("1"), first, 64)), embedding);
  return div(y, sqrt(add(reduceSum(mul(y, y), [1], true), scalar(1e-8))));
}

/** Patches of a training step. */
const batchPatches = 512;

/** S0 to S2: trains both embeddings on patches of the candidates and of their encodings under keys of the attacker's own. */
async function learnEmbeddings(
  { candidates, scheme, shape, seed }: AttackView,
  pixels: Float32Array,
  { limits, onProgress }: Pick<Tools, "limits" | "onProgress">,
  { keys = 6, steps = 3000 }: { readonly keys?: number; readonly steps?: number } = {},
): Promise<Minimised> {
  const codes: Float32Array[] = [];
  for (let key = 0; key < keys; key++)
    codes.push(patchMoments(centred(await encodeAtHome(candidates, scheme, shape, { seed, key }))));
  const [a, b] = [input("pixels", [batchPatches, moments]), input("codes", [batchPatches, moments])];
  const { result: loss, parameters } = collectParameters("", (scope) => {
    const sharpness = exp(clip(scope.parameter("sharpness", [1, 1], zeros), scalar(-2), scalar(4)));
    const logits = mul(gemm(embed(scope.at("pixels"), a), embed(scope.at("codes"), b), undefined, { transB: true }), sharpness); // prettier-ignore
    const own = constant(Float32Array.from({ length: batchPatches ** 2 }, (_, at) => Number(at % (batchPatches + 1) === 0)), [batchPatches, batchPatches]); // prettier-ignore
    const right = add(mul(own, logSoftmax(logits, 1)), mul(own, logSoftmax(transposeLast(logits), 1)));
    return mul(reduceMean(right, [0, 1]), scalar(-batchPatches / 2));
  });
  const rows = candidates.images * candidates.patches;
  return minimise(
    {
      ...{ name: "contrastive", seed, steps, learningRate: 1e-3 },
      turns: [{ name: "contrast", loss, parameters }],
      feeds: (step) => {
        const random = seededRandom(seed, "contrast", step);
        const under = codes[random.integer(keys)]!;
        const chosen = Array.from({ length: batchPatches }, () => random.integer(rows));
        const part = (set: Float32Array): Float32Array => {
          const out = new Float32Array(batchPatches * moments);
          chosen.forEach((r, at) => out.set(set.subarray(r * moments, (r + 1) * moments), at * moments));
          return out;
        };
        return {
          pixels: { data: part(pixels), shape: a.shape },
          codes: { data: part(under), shape: b.shape },
        };
      },
    },
    { ...limits, ...(onProgress ? { onProgress } : {}) },
  );
}

/** Embeddings of all patches, [images, patches, 8]. */
async function embedded(
  side: "pixels" | "codes",
  set: Vectors,
  features: Float32Array,
  learned: Minimised["parameters"],
): Promise<Vectors> {
  // prettier-ignore
  const x = input("x", [set.patches, moments]);
  const { result } = collectParameters(`${side}.`, (scope) => embed(scope, x));
  const out = vectors(new Float32Array(set.images * set.patches * embedding), set.images, set.patches, embedding);
  const each = set.patches * moments;
  await evaluateLearned(
    { y: result },
    learned,
    set.images,
    (i) => ({ x: { data: features.slice(i * each, (i + 1) * each), shape: x.shape } }),
    ({ y }, i) => out.data.set(y!.data as Float32Array, i * set.patches * embedding),
  );
  return out;
}

/** S4: for every encoding and candidate, how well their patches find each other, each its best, both ways. */
async function setScores(a: Vectors, b: Vectors, { product }: Tools["products"]): Promise<Float64Array> {
  const out = new Float64Array(a.images * b.images);
  const columns = b.images * b.patches;
  for (let i = 0; i < a.images; i++) {
    const part = a.data.subarray(i * a.patches * a.width, (i + 1) * a.patches * a.width);
    const dots = await product(part, b.data, { m: a.patches, k: a.width, n: columns }, { transB: true });
    for (let c = 0; c < b.images; c++) {
      const forth = new Float32Array(a.patches).fill(-1);
      const back = new Float32Array(b.patches).fill(-1);
      for (let s = 0; s < a.patches; s++)
        for (let p = 0; p < b.patches; p++) {
          const x = dots[s * columns + c * b.patches + p]!;
          if (x > forth[s]!) forth[s] = x;
          if (x > back[p]!) back[p] = x;
        }
      for (const x of forth) out[i * b.images + c]! += x / a.patches;
      for (const x of back) out[i * b.images + c]! += x / b.patches;
    }
  }
  return out;
}

/** What happens at each place, [patches, images * width], of images in an order. */
function places({ patches, width, data }: Vectors, order: ArrayLike<number>): Float32Array {
  const out = new Float32Array(order.length * patches * width);
  for (let i = 0; i < order.length; i++)
    for (let p = 0; p < patches; p++) {
      const from = (order[i]! * patches + p) * width;
      out.set(data.subarray(from, from + width), (p * order.length + i) * width);
    }
  return out;
}

export const contrastive: Attack = {
  about: "the published break: embeddings learned over many keys, assignment of patches and images in turn, the key",
  knowledge: [encodings, architecture, originals],
  control: "shallow",
  run: async (view, tools) => {
    const { candidates } = view;
    if (!hasSlots(view))
      throw new LeadglassError("LG-USAGE-001", "contrastive: this scheme marks no places", {
        hint: "Use matching, which needs none.",
      });
    const { products } = tools;
    const { aligned } = await tools.unshuffled();
    const [codes, pixels] = [centred(aligned), centred(candidates)];
    const [codeMoments, pixelMoments] = [patchMoments(codes), patchMoments(pixels)];
    const { parameters, losses, steps } = await learnEmbeddings(view, pixelMoments, tools);
    const a = await embedded("codes", codes, codeMoments, parameters);
    const b = await embedded("pixels", pixels, pixelMoments, parameters);
    const [n, patches] = [codes.images, codes.patches];
    const stages: { name: string; images: Int32Array }[] = [];
    let images: Int32Array = assignBest(await setScores(a, b, products), n, n);
    stages.push({ name: "S4 sets of patches", images });
    let layout: Int32Array = Int32Array.from({ length: patches }, (_, p) => p);
    const all = [...Array(n).keys()];
    for (let round = 1; round <= 5; round++) {
      const size = { m: patches, k: n * embedding, n: patches };
      const votes = await products.product(places(a, all), places(b, images), size, { transB: true });
      layout = assignBest(votes, patches, patches);
      const placed = vectors(new Float32Array(b.data.length), n, patches, embedding);
      for (let i = 0; i < n; i++)
        for (let s = 0; s < patches; s++) {
          const from = (i * patches + layout[s]!) * embedding;
          placed.data.set(b.data.subarray(from, from + embedding), (i * patches + s) * embedding);
        }
      const scores = await products.product(a.data, placed.data, { m: n, k: patches * embedding, n }, { transB: true });
      images = assignBest(scores, n, n);
      stages.push({ name: `S5 places and images ${round}`, images });
    }
    for (let round = 1; round <= 3; round++) {
      const decoder = await fitDecoder(codes, pick(pixels, images), layout, products, { rounds: 2, ridge: 0.1 });
      layout = decoder.layout;
      images = assignBest(await similarity(await decode(codes, decoder, products), pixels, products), n, n);
      stages.push({ name: `S6 key ${round}`, images });
    }
    return {
      candidates: images,
      scored: ({ candidateOf }) => ({
        success: agreement(images, candidateOf),
        chance: 1 / n,
        stages: stages.map(({ name, images: found }) => ({ name, success: agreement(found, candidateOf) })),
      }),
      details: { ...losses, steps },
    };
  },
};
