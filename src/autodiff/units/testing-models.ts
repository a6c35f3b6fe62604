/** Every way in which a model can use a parameter, as small models for the tests of per-unit gradients. */
import {
  add,
  apply,
  averagePool,
  cast,
  concat,
  constant,
  conv,
  convTranspose,
  div,
  expand,
  float32s,
  gather,
  gelu,
  gemm,
  globalAveragePool,
  greater,
  groupNormalization,
  instanceNormalization,
  int64s,
  layerNormalization,
  logSoftmax,
  matMul,
  max,
  maxPool,
  mish,
  mul,
  pow,
  reciprocal,
  reduceMean,
  relu,
  reshape,
  resizeNearest,
  scalar,
  sigmoid,
  slice,
  softmax,
  split,
  sqrt,
  sub,
  sum,
  tanh,
  transpose,
  transposeLast,
  unsqueeze,
  where,
  type ConvolutionOptions,
  type Shape,
  type Value,
} from "../../graph/index.ts";
import type { Domain } from "../testing.ts";
import type { UnitModel } from "./testing.ts";

type Values = Readonly<Record<string, Value>>;
type Form = UnitModel["forms"][string];

/** A model of one input x [rows, ...shape]. */
const ofImages = (
  name: string,
  shape: Shape,
  parameters: Readonly<Record<string, Shape>>,
  forward: (values: Values, rows: number) => Value,
  forms: Readonly<Record<string, Form>> | Form = "instantiated",
  more: Partial<UnitModel> & { readonly domain?: Domain } = {},
): UnitModel => ({
  name,
  data: { x: { shape: (rows) => [rows, ...shape], ...(more.domain ? { domain: more.domain } : {}) } },
  parameters,
  forward,
  forms: typeof forms === "string" ? Object.fromEntries(Object.keys(parameters).map((p) => [p, forms])) : forms,
  ...more,
});

const gemms: UnitModel[] = [false, true].flatMap((transA) =>
  [false, true].map((transB): UnitModel => ({
    name: `dense layer, Gemm transA ${transA} transB ${transB}`,
    data: { x: { shape: (rows) => (transA ? [12, rows] : [rows, 12]), axis: transA ? 1 : 0 } },
    parameters: { w: transB ? [10, 12] : [12, 10], b: transB ? [1, 10] : [10] },
    forward: ({ x, w, b }) => gemm(x!, w!, b!, { transA, transB, alpha: 0.5, beta: -2 }),
    // Up to three positions, one for each view: Gram matrices are smaller than the weight.
    forms: { w: "gram", b: "instantiated" },
  })),
);

const dense: UnitModel[] = [
  ...gemms,
  ofImages("Gemm with many tokens as rows", [20, 3], { w: [3, 4] }, ({ x, w }, rows) =>
    reshape(gemm(reshape(x!, [rows * 20, 3]), w!), [rows, 20, 4]),
  ),
  ...([[], [1], [1, 1]] as Shape[]).map(
    (shape) =>
    ofImages(`Gemm with a bias of shape [${shape.join()}]`, [5], { w: [5, 3], b: shape }, ({ x, w, b }) => gemm(x!, w!, b!), { w: "either", b: "instantiated" }), // prettier-ignore
  ),
  ofImages("MatMul of matrices", [6], { w: [6, 5] }, ({ x, w }) => matMul(x!, w!), "either"),
  ofImages("MatMul over few positions", [2, 16], { w: [16, 12] }, ({ x, w }) => matMul(x!, w!), "gram"),
  ofImages("MatMul over many positions", [2, 20, 3], { w: [3, 4] }, ({ x, w }) => matMul(x!, w!)),
  // Norms of long gradients are summed in chunks where their length divides (4270, not 61 x 71).
  ofImages("weights of more than 4096 numbers", [26, 70], { v: [70, 61], w: [61, 71] }, ({ x, v, w }) =>
    matMul(tanh(mul(matMul(x!, v!), scalar(0.1))), w!),
  ),
  ofImages("MatMul with Transpose(W)", [2, 16], { w: [12, 16] }, ({ x, w }) => matMul(x!, transposeLast(w!)), "gram"),
  ofImages("MatMul with Transpose(W), many positions", [30, 3], { w: [4, 3] }, ({ x, w }) =>
    matMul(x!, transposeLast(w!)),
  ),
  ofImages("MatMul with a reshaped weight", [3, 4], { w: [2, 2, 1, 5] }, ({ x, w }) => matMul(x!, reshape(w!, [4, 5]))),
  ofImages("MatMul with a vector", [3, 4], { w: [4] }, ({ x, w }) => matMul(x!, w!)),
  ofImages("vector times images", [4, 3], { w: [4] }, ({ x, w }) => matMul(w!, x!)),
  ofImages("weight on the left", [4, 3], { w: [5, 4] }, ({ x, w }) => matMul(w!, x!)),
  ofImages("one weight per head", [2, 3, 4], { w: [2, 4, 5] }, ({ x, w }) => matMul(x!, w!)),
  ofImages("an expanded weight", [3, 4], { w: [4, 5] }, ({ x, w }, rows) => matMul(x!, expand(w!, [rows, 4, 5]))),
  {
    name: "MatMul with units along axis 1",
    data: { x: { shape: (rows) => [3, rows, 4], axis: 1 } },
    parameters: { w: [4, 5], b: [5], heads: [3, 5, 2] },
    forward: ({ x, w, b, heads }) => transpose(matMul(relu(add(matMul(x!, w!), b!)), heads!), [1, 0, 2]),
    forms: { w: "instantiated", b: "instantiated", heads: "instantiated" },
  },
  {
    name: "MatMul with units in columns",
    data: { x: { shape: (rows) => [4, rows], axis: 1 } },
    parameters: { w: [5, 4], b: [5, 1] },
    forward: ({ x, w, b }) => transpose(tanh(add(matMul(w!, x!), b!)), [1, 0]),
    forms: { w: "instantiated", b: "instantiated" },
  },
  ofImages("units moved by Transpose", [3, 4], { w: [4, 4], b: [4] }, ({ x, w, b }) =>
    transpose(add(matMul(transpose(x!, [1, 0, 2]), w!), b!), [1, 0, 2]),
  ),
];

interface Convolution {
  readonly name: string;
  readonly image: Shape;
  readonly w: Shape;
  readonly channels: number;
  readonly options?: ConvolutionOptions & { readonly outputPadding?: readonly number[] };
  readonly form?: Form;
}
const convolutions: Convolution[] = [
  { name: "1-D", image: [2, 9], w: [3, 2, 3], channels: 3, options: { pads: [1, 1] } },
  {
    name: "1-D strided, dilated",
    image: [2, 11],
    w: [3, 2, 3],
    channels: 3,
    options: { strides: [2], dilations: [2] },
  },
  { name: "2-D", image: [2, 5, 6], w: [3, 2, 3, 3], channels: 3, options: { pads: [1, 1, 1, 1] } },
  { name: "2-D, many channels, few positions", image: [12, 2, 2], w: [10, 12, 3, 3], channels: 10, options: { pads: [1, 1, 1, 1], strides: [2, 2] }, form: "gram" }, // prettier-ignore
  { name: "2-D strided, dilated, uneven pads", image: [2, 6, 7], w: [4, 2, 2, 3], channels: 4, options: { strides: [2, 3], dilations: [2, 1], pads: [0, 1, 2, 0] } }, // prettier-ignore
  { name: "2-D in groups", image: [4, 4, 5], w: [6, 2, 2, 2], channels: 6, options: { group: 2 } },
  { name: "2-D depthwise", image: [3, 5, 5], w: [3, 1, 3, 3], channels: 3, options: { group: 3, pads: [1, 1, 1, 1] } },
  { name: "2-D depthwise with two outputs each, strided", image: [3, 5, 5], w: [6, 1, 2, 2], channels: 6, options: { group: 3, strides: [2, 2] } }, // prettier-ignore
  { name: "1x1 strided", image: [3, 5, 5], w: [4, 3, 1, 1], channels: 4, options: { strides: [2, 2] } },
  { name: "3-D", image: [2, 4, 3, 4], w: [3, 2, 2, 3, 2], channels: 3, options: { pads: [0, 1, 0, 1, 1, 0] } },
  { name: "3-D strided in groups", image: [2, 4, 5, 4], w: [2, 1, 2, 3, 2], channels: 2, options: { group: 2, strides: [2, 2, 1], pads: [1, 1, 1, 1, 1, 1] } }, // prettier-ignore
];
const transposed: Convolution[] = [
  { name: "1-D", image: [3, 5], w: [3, 2, 4], channels: 2, options: { strides: [2], pads: [1, 1] } },
  { name: "2-D", image: [2, 3, 4], w: [2, 3, 3, 3], channels: 3, options: { strides: [2, 2], pads: [1, 1, 1, 1], outputPadding: [1, 1] } }, // prettier-ignore
  { name: "2-D, many channels, few positions", image: [14, 1, 2], w: [14, 12, 2, 2], channels: 12, options: { strides: [2, 2] }, form: "gram" }, // prettier-ignore
  {
    name: "2-D in groups, dilated",
    image: [4, 3, 3],
    w: [4, 1, 2, 2],
    channels: 2,
    options: { group: 2, dilations: [2, 1] },
  },
  {
    name: "3-D",
    image: [2, 2, 3, 2],
    w: [2, 2, 2, 2, 3],
    channels: 2,
    options: { strides: [2, 1, 2], pads: [0, 0, 1, 0, 1, 0] },
  },
];
const ofConvolution = (operator: typeof convTranspose, kind: string, c: Convolution): UnitModel =>
  ofImages(
    `${kind} ${c.name}`,
    c.image,
    { w: c.w, b: [c.channels] },
    ({ x, w, b }) => mul(operator(x!, w!, b!, c.options), scalar(0.3)),
    { w: c.form ?? "instantiated", b: "instantiated" },
  );

const stored = (n: number): Value[] => [
  float32s(Array.from({ length: n }, (_, i) => 0.1 * i)),
  float32s(Array.from({ length: n }, (_, i) => 1 + 0.5 * i)),
];

const normalisations: UnitModel[] = [
  ofImages("GroupNormalization", [6, 3, 4], { scale: [6], bias: [6] }, ({ x, scale, bias }) => groupNormalization(x!, scale!, bias!, 3)), // prettier-ignore
  ofImages("InstanceNormalization", [3, 7], { scale: [3], bias: [3] }, ({ x, scale, bias }) => instanceNormalization(x!, scale!, bias!)), // prettier-ignore
  ofImages("LayerNormalization", [4, 6], { scale: [6], bias: [6] }, ({ x, scale, bias }) => layerNormalization(x!, scale!, bias).y), // prettier-ignore
  ofImages("LayerNormalization over two axes", [3, 2, 4], { scale: [2, 4], bias: [2, 4] }, ({ x, scale, bias }) => layerNormalization(x!, scale!, bias, { axis: 2 }).y), // prettier-ignore
  ofImages("LayerNormalization whose statistics are used", [3, 5], { scale: [5], w: [5, 5] }, ({ x, scale, w }) => {
    const { y, mean, inverseDeviation } = layerNormalization(matMul(x!, w!), scale!);
    return add(mul(y, mean), inverseDeviation);
  }),
  ofImages(
    "BatchNormalization with stored statistics",
    [3, 4, 4],
    { scale: [3], bias: [3] },
    ({ x, scale, bias }) => apply("BatchNormalization", [x, scale, bias, ...stored(3)], {}, { outputs: 1 })[0]!,
  ),
];

const elementwise: UnitModel[] = [
  ofImages("plain bias added", [3, 4], { b: [4] }, ({ x, b }) => add(x!, b!)),
  ofImages("bias per channel, subtracted from", [3, 2, 2], { b: [3, 1, 1] }, ({ x, b }) => sub(b!, x!)),
  ofImages("scalar multiplied in", [3, 4], { s: [] }, ({ x, s }) => mul(s!, x!)),
  ofImages("vector multiplied in", [3, 4], { s: [4] }, ({ x, s }) => mul(x!, s!)),
  ofImages("position table [1, T, d]", [3, 4], { p: [1, 3, 4] }, ({ x, p }) => tanh(add(x!, p!))),
  ofImages("position table [T, d] multiplied in", [3, 4], { p: [3, 4] }, ({ x, p }) => mul(x!, p!)),
  ofImages("divided by and raised to", [4], { d: [4], e: [1] }, ({ x, d, e }) => pow(div(x!, d!), e!), "instantiated", { domain: "positive", domains: { d: "positive", e: "positive" } }), // prettier-ignore
  ofImages("slope of PRelu", [3, 5], { a: [3, 1] }, ({ x, a }) => apply("PRelu", [x, a])[0]!),
  ofImages("sum and mean of several", [4], { a: [4], b: [1, 4] }, ({ x, a, b }) => mul(sum([x!, a!, b!]), apply("Mean", [b, x, a])[0]!)), // prettier-ignore
  ofImages("threshold in a maximum", [6, 5], { t: [5] }, ({ x, t }) => max(x!, t!)),
  ofImages("chosen where a condition holds", [3, 4], { a: [4], b: [] }, ({ x, a, b }) => where(greater(x!, scalar(0)), a!, mul(b!, x!))), // prettier-ignore
  ofImages("gate for every row, from a row-wise mask", [3], { g: [3] }, ({ x, g }, rows) => mul(mul(x!, g!), expand(scalar(0.5), [rows, 1]))), // prettier-ignore
];

const tables: UnitModel[] = [
  {
    name: "embedding, many tokens",
    data: { tokens: { shape: (rows) => [rows, 12], indices: { below: 4 } } },
    parameters: { table: [4, 3] },
    forward: ({ tokens, table }) => gather(table!, tokens!),
    forms: { table: "instantiated" },
  },
  {
    name: "embedding, few tokens of a large table, negative indices",
    data: { tokens: { shape: (rows) => [rows, 2], indices: { below: 30, negative: true, dtype: "int32" } } },
    parameters: { table: [30, 10] },
    forward: ({ tokens, table }) => gather(table!, tokens!),
    forms: { table: "gram" },
  },
  {
    name: "embedding with units along axis 1",
    data: { tokens: { shape: (rows) => [5, rows, 2], axis: 1, indices: { below: 3 } } },
    parameters: { table: [3, 2, 2] },
    forward: ({ tokens, table }) => transpose(gather(table!, tokens!), [1, 0, 2, 3, 4]),
    forms: { table: "instantiated" },
  },
  {
    name: "columns of a table",
    data: { tokens: { shape: (rows) => [rows, 3], indices: { below: 4, negative: true } } },
    parameters: { table: [2, 4] },
    forward: ({ tokens, table }) => transpose(gather(table!, tokens!, 1), [1, 2, 0]),
    forms: { table: "instantiated" },
  },
  ofImages("relative positions added to attention logits", [3, 4], { table: [5, 2] }, ({ x, table }) => {
    const relative = constant(BigInt64Array.from([2, 1, 0, 3, 2, 1, 4, 3, 2], BigInt), [9]);
    const bias = transpose(reshape(gather(table!, relative), [3, 3, 2]), [2, 0, 1]);
    const logits = unsqueeze(matMul(x!, transposeLast(x!)), [1]);
    return matMul(softmax(add(mul(logits, scalar(0.3)), bias)), unsqueeze(x!, [1]));
  }),
];

/** Multi-head attention of x [rows, T, d] with one weight for queries, keys and values. */
function attention(x: Value, qkv: Value, out: Value, heads: number): Value {
  const [rows, t, d] = x.shape as [number, number, number];
  const parts = split(reshape(matMul(x, qkv), [rows, t, 3 * heads, d / heads]), [heads, heads, heads], 2);
  const [q, k, v] = parts.map((p) => transpose(p, [0, 2, 1, 3])) as [Value, Value, Value];
  const logits = mul(matMul(q, transposeLast(k)), scalar(1 / Math.sqrt(d / heads)));
  return matMul(reshape(transpose(matMul(softmax(logits), v), [0, 2, 1, 3]), [rows, t, d]), out);
}

const combined: UnitModel[] = [
  ofImages("a weight used twice", [3, 4], { w: [4, 4] }, ({ x, w }) => matMul(tanh(matMul(x!, w!)), w!)),
  ofImages("a weight used three times, in different operators and transposed", [4], { w: [4, 4] }, ({ x, w }) =>
    mul(gemm(tanh(matMul(tanh(gemm(x!, w!)), transposeLast(w!))), w!, undefined, { transB: true }), scalar(0.5)),
  ),
  ofImages("tied embedding and head", [6], { w: [3, 6] }, ({ x, w }) => logSoftmax(matMul(tanh(matMul(x!, transposeLast(w!))), w!))), // prettier-ignore
  ofImages(
    "weights shared by slices along two axes",
    [2, 3, 4],
    { w: [3, 1, 2, 2], v: [3, 2], b: [2] },
    ({ x, w, v, b }, rows) => {
      // Slices of two sizes: [rows x 2, 1, 3, 4] and [rows x 3, 1, 2, 4].
      const along = (axis: number): Value => {
        const slices = transpose(x!, [0, axis, ...[1, 2, 3].filter((a) => a !== axis)]);
        const [, count, height, width] = slices.shape as [number, number, number, number];
        const y = mish(conv(reshape(slices, [rows * count, 1, height, width]), w!));
        return reshape(add(matMul(reduceMean(y, [2, 3]), v!), b!), [rows, count, 2]);
      };
      return concat([along(1), along(2)], 1);
    },
  ),
  ofImages("a convolution kernel used twice", [2, 4, 4], { w: [2, 2, 3, 3], b: [2] }, ({ x, w, b }) => {
    const options = { pads: [1, 1, 1, 1] };
    return conv(mish(conv(mul(x!, scalar(0.5)), w!, b!, options)), w!, b!, options);
  }),
  // The gradient of such a kernel is taken by moving the cotangent, and is put in order only after its sum.
  ofImages("a kernel from many channels to one, used twice", [4, 4, 4], { w: [1, 4, 3, 3] }, ({ x, w }) => {
    const options = { pads: [1, 1, 1, 1] };
    return add(conv(x!, w!, undefined, options), conv(tanh(x!), w!, undefined, options));
  }),
  ofImages("a scale that also is a bias", [3, 4], { s: [4] }, ({ x, s }) => add(layerNormalization(x!, s!).y, s!)),
  ofImages("low-rank product", [3, 5], { a: [5, 2], b: [2, 4] }, ({ x, a, b }) => matMul(x!, matMul(a!, b!))),
  ofImages("standardised kernel", [2, 5, 5], { w: [3, 2, 2, 2] }, ({ x, w }) => {
    const centred = sub(w!, reduceMean(w!, [1, 2, 3], true));
    const deviation = sqrt(add(reduceMean(mul(centred, centred), [1, 2, 3], true), scalar(0.1)));
    return conv(mul(x!, scalar(0.3)), mul(centred, reciprocal(deviation)));
  }),
  ofImages("mixing weights from a softmax of parameters", [2, 3, 4], { m: [3] }, ({ x, m }) => mul(x!, reshape(softmax(m!), [3, 1]))), // prettier-ignore
  ofImages("slices of one parameter", [3, 4], { w: [4, 6] }, ({ x, w }) => {
    const [a, b, c] = [0, 2, 4].map((at) => matMul(x!, slice(w!, [at], [at + 2], [1]))) as [Value, Value, Value];
    return add(mul(a, sigmoid(b)), c);
  }),
  ofImages("class token joined to patches", [3, 4], { token: [1, 1, 4] }, ({ x, token }, rows) => tanh(concat([expand(token!, [rows, 1, 4]), x!], 1))), // prettier-ignore
  ofImages("class token and constant joined to patches", [3, 4], { token: [4] }, ({ x, token }, rows) =>
    concat([x!, expand(scalar(1), [rows, 1, 4]), expand(token!, [rows, 2, 4])], 1),
  ),
  ofImages("tiled token", [3, 4], { token: [1, 1, 4] }, ({ x, token }, rows) => mul(x!, apply("Tile", [token, int64s([rows, 1, 1])])[0]!)), // prettier-ignore
  ofImages("position table expanded over the batch", [3, 4], { p: [3, 4] }, ({ x, p }, rows) => mul(x!, tanh(expand(p!, [rows, 3, 4])))), // prettier-ignore
  ofImages("rows made of parameters alone, added", [4], { w: [3, 4] }, ({ x, w }, rows) => mul(x!, matMul(expand(float32s([0.5, 1, -1], [1, 3]), [rows, 3]), w!))), // prettier-ignore
  ofImages("frozen weights before and after", [4], { b: [4], w: [4, 4] }, ({ x, first, b, w, last }) => matMul(matMul(tanh(add(matMul(x!, first!), b!)), w!), last!), { b: "instantiated", w: "either" }, { frozen: { first: [4, 4], last: [4, 3] } }), // prettier-ignore
  ofImages(
    "slices of a volume along the batch axis",
    [3, 2, 4, 4],
    { w: [4, 2, 3, 3], b: [4], scale: [4], bias: [4], up: [4, 2, 2, 2], gain: [2], shift: [2] },
    ({ x, w, b, scale, bias, up, gain, shift }, rows) => {
      const slices = reshape(x!, [rows * 3, 2, 4, 4]);
      const h = groupNormalization(conv(slices, w!, b!, { pads: [1, 1, 1, 1] }), scale!, bias!, 2);
      const y = convTranspose(mish(h), up!, undefined, { strides: [2, 2] });
      const z = apply("BatchNormalization", [y, gain, shift, ...stored(2)], {}, { outputs: 1 })[0]!;
      return reshape(z, [rows, 3, 2, 8, 8]);
    },
  ),
  ofImages(
    "attention block",
    [4, 6],
    { scale: [6], bias: [6], qkv: [6, 18], out: [6, 6], up: [6, 8], upBias: [8], down: [8, 6] },
    ({ x, scale, bias, qkv, out, up, upBias, down }) => {
      const norm = (v: Value): Value => layerNormalization(v, scale!, bias).y;
      const h = add(x!, mul(attention(norm(x!), mul(qkv!, scalar(0.4)), out!, 2), scalar(0.5)));
      return add(h, matMul(gelu(add(matMul(norm(h), mul(up!, scalar(0.4))), upBias!)), down!));
    },
    { scale: "instantiated", bias: "instantiated", qkv: "instantiated", out: "instantiated", up: "instantiated", upBias: "instantiated", down: "instantiated" }, // prettier-ignore
  ),
  ofImages(
    "small convolutional network",
    [1, 9, 9],
    {
      w1: [4, 1, 3, 3],
      scale: [4],
      bias: [4],
      w2: [4, 2, 3, 3],
      b2: [4],
      w3: [4, 4, 2, 2],
      head: [4, 3],
      headBias: [3],
    },
    ({ x, w1, scale, bias, w2, b2, w3, head, headBias }) => {
      const a = mish(groupNormalization(conv(x!, w1!, undefined, { pads: [1, 1, 1, 1] }), scale!, bias!, 2));
      const b = maxPool(a, [3, 3], { strides: [2, 2], pads: [1, 1, 1, 1] }).y;
      const c = relu(conv(b, w2!, b2!, { group: 2, strides: [2, 2], pads: [1, 1, 1, 1] }));
      const d = averagePool(resizeNearest(convTranspose(c, w3!, undefined, { strides: [2, 2] }), [c.shape[0]!, 4, 12, 12]), [2, 2], { strides: [2, 2] }); // prettier-ignore
      const pooled = reshape(globalAveragePool(d), [c.shape[0]!, 4]);
      return gemm(pooled, head!, headBias!);
    },
    { w1: "instantiated", scale: "instantiated", bias: "instantiated", w2: "instantiated", b2: "instantiated", w3: "instantiated", head: "either", headBias: "instantiated" }, // prettier-ignore
  ),
  ofImages(
    "convolution with a standardised weight",
    [2, 5, 5],
    { w: [3, 2, 3, 3], head: [3, 2] },
    ({ x, w, head }) => {
      const flat = reshape(w!, [3, 18]);
      const centred = sub(flat, reduceMean(flat, [1], true));
      const spread = sqrt(add(reduceMean(mul(centred, centred), [1], true), scalar(1e-3)));
      const y = relu(conv(x!, reshape(div(centred, spread), [3, 2, 3, 3])));
      return matMul(reduceMean(y, [2, 3]), head!);
    },
    { w: "instantiated", head: "either" },
  ),
  {
    name: "image and text together",
    data: {
      image: { shape: (rows) => [rows, 2, 4, 4] },
      tokens: { shape: (rows) => [rows, 3], indices: { below: 5 } },
      age: { shape: (rows) => [rows] },
    },
    parameters: { w: [3, 2, 3, 3], table: [5, 3], slope: [1, 1, 3] },
    forward: ({ image, tokens, age, w, table, slope }) => {
      const seen = transpose(reshape(conv(image!, w!), [image!.shape[0]!, 3, 4]), [0, 2, 1]);
      const read = add(gather(table!, tokens!), mul(reshape(age!, [-1, 1, 1]), slope!));
      return concat([seen, cast(cast(read, "float64"), "float32")], 1);
    },
    forms: { w: "instantiated", table: "instantiated", slope: "instantiated" },
  },
];

export const unitModels: readonly UnitModel[] = [
  ...dense,
  ...convolutions.map((c) => ofConvolution(conv, "convolution", c)),
  ...transposed.map((c) => ofConvolution(convTranspose, "transposed convolution", c)),
  ...normalisations,
  ...elementwise,
  ...tables,
  ...combined,
];
