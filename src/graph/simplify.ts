import { apply } from "./apply.ts";
import { foldNode, isLiteral } from "./fold.ts";
import { topologicalNodes, type Graph } from "./graph.ts";
import { expand, transpose } from "./operators.ts";
import { padAmounts, sliceRanges } from "./rules/layout.ts";
import { equalShapes, intsOf } from "./shape.ts";
import { contentKey } from "./tensor.ts";
import {
  int64s,
  integersOf,
  sizeOf,
  type Attributes,
  type Constant,
  type Node,
  type Result,
  type Value,
} from "./value.ts";

/** Literals up to this many elements are compared and computed with; larger ones are compared by identity. */
const smallElements = 64;

/**
 * The same function in fewer nodes: equal subgraphs once, no operator that changes nothing, layout operators composed,
 * arithmetic on small literals done. Outputs keep names, shapes and element types. Values are equal to the bit except
 * that adding 0 no longer turns -0 into 0. A named float constant may be a parameter, so its value is never used.
 * Takes time linear in the size of the graph.
 */
export function simplify(graph: Graph): Graph {
  const known = new Map<string, readonly Result[]>();
  const identify = identities();
  const renewed = new Map<Node, readonly Value[]>();
  const renew = (v: Value): Value => (v.kind === "result" ? renewed.get(v.node)![v.index]! : v);
  const share = (value: Value): Value => {
    if (value.kind !== "result") return value;
    const key = keyOf(value.node, identify);
    const equal = known.get(key);
    if (equal) return equal[value.index]!;
    known.set(key, value.node.outputs);
    return value;
  };
  for (const node of topologicalNodes(graph.outputs.map((o) => o.value))) {
    const inputs = node.inputs.map((v) => v && renew(v));
    const simpler = simplerOf(node, inputs);
    if (simpler) {
      renewed.set(node, simpler.map(share));
      continue;
    }
    const unchanged = inputs.every((v, i) => v === node.inputs[i]);
    const options = { name: node.name, outputs: node.outputs.length };
    const results = unchanged ? node.outputs : apply(node.op, inputs, node.attributes, options);
    renewed.set(node, computedOf(results) ?? results.map(share));
  }
  return { ...graph, outputs: graph.outputs.map(({ name, value }) => ({ name, value: renew(value) })) };
}

/** A small number for every value: one for equal small literals, another for everything else that is not one object. */
function identities(): (value: Value) => number {
  const numbers = new Map<Value, number>();
  const literals = new Map<string, number>();
  let next = 0;
  return (value) => {
    const seen = numbers.get(value);
    if (seen !== undefined) return seen;
    const key = isSmallLiteral(value) ? contentKey(value) : undefined;
    const number = (key === undefined ? undefined : literals.get(key)) ?? next++;
    if (key !== undefined) literals.set(key, number);
    numbers.set(value, number);
    return number;
  };
}

const isSmallLiteral = (v: Value | undefined): v is Constant =>
  v?.kind === "constant" && v.data.length <= smallElements && isLiteral(v);

/** Equal for nodes that compute the same. */
function keyOf(node: Node, identify: (value: Value) => number): string {
  const operands = node.inputs.map((v) => (v ? identify(v) : "-")).join();
  return `${node.op}(${operands})${attributesKey(node.attributes, identify)}>${node.outputs.length}`;
}

function attributesKey(attributes: Attributes, identify: (value: Value) => number): string {
  return Object.keys(attributes)
    .sort()
    .map((name) => {
      const attribute = attributes[name]!;
      return `${name}=${"tensor" in attribute ? `#${identify(attribute.tensor)}` : JSON.stringify(attribute)}`;
    })
    .join(";");
}

function computedOf(results: readonly Result[]): readonly Value[] | undefined {
  const { op, inputs } = results[0]!.node;
  if (op === "Shape") return foldNode(results);
  const small = results.every((r) => sizeOf(r.shape) <= smallElements);
  return small && inputs.every(isSmallLiteral) ? foldNode(results) : undefined;
}

type Operands = readonly (Value | undefined)[];
/** The values that a node stands for, if there are simpler ones. */
type Simplification = (node: Node, inputs: Operands) => readonly Value[] | undefined;

function simplerOf(node: Node, inputs: Operands): readonly Value[] | undefined {
  return Object.hasOwn(simplifications, node.op) ? simplifications[node.op]!(node, inputs) : undefined;
}

const asIs: Simplification = (_, [x]) => [x!];

/** The first operand, where the output is its equal in shape and `test` says that nothing happens to it. */
const nothingIf =
  (test: (node: Node, inputs: Operands) => boolean): Simplification =>
  (node, inputs) =>
    equalShapes(inputs[0]!.shape, node.outputs[0]!.shape) && test(node, inputs) ? [inputs[0]!] : undefined;

const alone: Simplification = (_, inputs) => (inputs.length === 1 ? [inputs[0]!] : undefined);

const relayouts: ReadonlySet<string> = new Set(["Reshape", "Flatten", "Squeeze", "Unsqueeze"]);

/** Elements in the same order under another shape: only the last shape of a chain counts. */
const relayout: Simplification = (node, [x]) => {
  const { shape } = node.outputs[0]!;
  const source = x!.kind === "result" && relayouts.has(x!.node.op) ? x!.node.inputs[0]! : x!;
  if (equalShapes(source.shape, shape)) return [source];
  if (source === x) return undefined;
  return apply("Reshape", [source, int64s(shape)], { allowzero: { int: 1 } }, { name: node.name });
};

const permOf = (node: Node, rank: number): readonly number[] =>
  intsOf(node.attributes, "perm") ?? Array.from({ length: rank }, (_, i) => rank - 1 - i);

const transposition: Simplification = (node, [x]) => {
  const perm = permOf(node, x!.shape.length);
  if (perm.every((p, i) => p === i)) return [x!];
  if (x!.kind !== "result" || x!.node.op !== "Transpose") return undefined;
  const inner = permOf(x!.node, perm.length);
  return [transpose(x!.node.inputs[0]!, perm.map((p) => inner[p]!))]; // prettier-ignore
};

const expansion: Simplification = (node, [x]) => {
  const { shape } = node.outputs[0]!;
  if (equalShapes(x!.shape, shape)) return [x!];
  return x!.kind === "result" && x!.node.op === "Expand" ? [expand(x!.node.inputs[0]!, shape)] : undefined;
};

/** Every element of a literal is `n`. */
function isAll(value: Value | undefined, n: number): boolean {
  if (!isSmallLiteral(value) || value.dtype === "float16" || value.data.length === 0) return false;
  return Array.from(value.data as ArrayLike<number | bigint>).every((v) => Number(v) === n);
}

/** A neutral second operand, or either where the operation commutes. */
const neutral =
  (n: number, commutes: boolean): Simplification =>
  (node, inputs) => {
    if (inputs.length !== 2) return inputs.length === 1 ? [inputs[0]!] : undefined;
    const [a, b] = inputs as readonly [Value, Value];
    const { shape } = node.outputs[0]!;
    if (isAll(b, n) && equalShapes(a.shape, shape)) return [a];
    if (commutes && isAll(a, n) && equalShapes(b.shape, shape)) return [b];
    return undefined;
  };

const everySlice = (node: Node, inputs: Operands): boolean =>
  sliceRanges({ ...node, inputs }).every((r, i) => r.step === 1 && r.start === 0 && r.size === inputs[0]!.shape[i]);

const simplifications: Readonly<Record<string, Simplification>> = {
  Identity: asIs,
  Dropout: (node, inputs) => (node.outputs.length === 1 ? asIs(node, inputs) : undefined),
  Reshape: relayout,
  Flatten: relayout,
  Squeeze: relayout,
  Unsqueeze: relayout,
  Transpose: transposition,
  Expand: expansion,
  Cast: (node, [x]) => (x!.dtype === node.outputs[0]!.dtype ? [x!] : undefined),
  Sum: neutral(0, true),
  Max: alone,
  Min: alone,
  Mean: alone,
  Concat: alone,
  Split: (node, [x]) => (node.outputs.length === 1 ? [x!] : undefined),
  Slice: nothingIf(everySlice),
  Pad: nothingIf((node, inputs) => padAmounts({ ...node, inputs }).every(({ begin, end }) => begin === 0 && end === 0)),
  Tile: nothingIf((_, inputs) => (integersOf(inputs[1]) ?? []).every((n) => n === 1)),
  Mul: neutral(1, true),
  Div: neutral(1, false),
  Add: neutral(0, true),
  Sub: neutral(0, false),
  Pow: neutral(1, false),
};
