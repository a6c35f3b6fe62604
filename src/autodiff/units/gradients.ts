import { LeadglassError } from "../../errors.ts";
import { rowDots } from "../../graph/compositions.ts";
import {
  add,
  concat,
  less,
  matMul,
  mul,
  reduceSum,
  reshape,
  scalar,
  sizeOf,
  slice,
  sum,
  transpose,
  transposeLast,
  where,
  type Node,
  type Value,
} from "../../graph/index.ts";
import { intsOf } from "../../graph/shape.ts";
import { dependents, pullBack, unreached } from "../gradients.ts";
import { unitAxes, type UnitAxis } from "./axis.ts";
import { contributionOf, type UnitContribution, type UnitFactors, type UnitLayout } from "./contributions.ts";

/** The gradients of every unit, held in whatever form is cheapest; nothing has been clipped yet. */
export interface UnitGradients {
  /** Squared norm of each unit's gradient over all parameters together, [units]. */
  readonly squaredNorm: Value;
  /** Squared norm of each unit's gradient of one parameter, [units], in the order of the parameters. */
  readonly squaredNorms: readonly Value[];
  /**
   * Sum over units of factors [units] times gradient, in the shapes of the parameters: no second backward pass. One value
   * for all parameters, or one for each of them.
   */
  readonly weightedSums: (factors: Value | readonly Value[]) => Value[];
  /** How each parameter's norm is found; for reports and tests. */
  readonly forms: readonly ("instantiated" | "gram")[];
}

/**
 * Whole per-unit gradients of one parameter, parts [units, n] that make up [units, size] side by side, and how a sum of
 * them becomes the parameter's shape.
 */
interface Instantiated {
  readonly form: "instantiated";
  readonly parts: readonly Value[];
  readonly finish: (sum: Value) => Value;
}
interface Gram {
  readonly form: "gram";
  readonly factors: UnitFactors;
  readonly finish: (sum: Value) => Value;
}

const range = (n: number): number[] => [...Array(n).keys()];

/** Multiply-adds that take as long as moving one number through memory once (ENGINE.md: 60 GFLOP/s, 20 GB/s). */
const productsPerMove = 10;

/**
 * Gram matrices (positions x positions) where they cost less than writing, squaring and summing p x q numbers a unit
 * (Bu et al., arXiv 2205.10683, with memory traffic counted as well as products).
 */
function prefersGram({ left, right, channelsFirst }: UnitFactors): boolean {
  const [channels, at] = channelsFirst ? [0, 2] : [2, 1];
  const [p, q, positions] = [left.shape[channels]!, right.shape[channels]!, left.shape[at]!];
  const gram = positions * positions * (p + q + 2 * productsPerMove) + (p + q) * positions * 2 * productsPerMove;
  const instantiate = 3 * p * q * productsPerMove;
  return gram < instantiate;
}

const unitsOf = ({ left, channelsFirst }: UnitFactors): number => left.shape[channelsFirst ? 1 : 0]!;

/** <A'A, B'B> for each unit: the squared norm of A B' without making it. */
function gramNorm(factors: UnitFactors): Value {
  // ONNX Runtime multiplies [channels, units, positions] unit by unit where it lies.
  const gram = (v: Value): Value =>
    factors.channelsFirst ? matMul(transpose(v, [1, 2, 0]), transpose(v, [1, 0, 2])) : matMul(v, transposeLast(v));
  const squared = rowDots(gram(factors.left), gram(factors.right), unitsOf(factors));
  // Rounding can leave a sum that is 0 slightly below; NaN stays NaN, so that whoever clips can see it.
  const zero = scalar(0, squared.dtype);
  return where(less(squared, zero), zero, squared);
}

/** sum over units of c_u A_u B_u', as one product over units and positions. */
function gramSum({ left, right, channelsFirst }: UnitFactors, factors: Value): Value {
  const scaled = mul(left, reshape(factors, channelsFirst ? [1, -1, 1] : [-1, 1, 1]));
  const rows = (v: Value): Value =>
    channelsFirst ? reshape(v, [v.shape[0]!, -1]) : transpose(reshape(v, [-1, v.shape[2]!]), [1, 0]);
  return reshape(matMul(rows(scaled), transpose(rows(right), [1, 0])), [-1]);
}

/** Squared row norms of [units, n], summed in chunks: one float32 sum over millions of squares loses four digits. */
function squaredRows(gradient: Value): Value {
  const [units, n] = gradient.shape as [number, number];
  const chunks =
    [256, 144, 128, 96, 64, 49, 48, 36, 32, 25, 16, 9, 8, 5, 4, 3, 2].find(
      (k) => n % k === 0 && n / k >= 16 && n > 256,
    ) ?? 1;
  const dots = rowDots(
    reshape(gradient, [units * chunks, n / chunks]),
    reshape(gradient, [units * chunks, n / chunks]),
    units * chunks,
  );
  return chunks === 1 ? dots : reduceSum(reshape(dots, [units, chunks]), [1]);
}

/** Reshapes and transposes only move numbers, so a gradient may pass them after its sum. Undefined for anything else. */
function rearrangement(node: Node): ((cotangent: Value) => Value) | undefined {
  const x = node.inputs[0]!;
  if (["Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity"].includes(node.op)) return (d) => reshape(d, x.shape);
  if (node.op !== "Transpose") return undefined;
  const perm = intsOf(node.attributes, "perm") ?? range(x.shape.length).reverse();
  return (d) => transpose(d, perm.map((_, i) => perm.indexOf(i))); // prettier-ignore
}

/** The rearrangements between a used value and the parameter it is made of alone, or undefined where it is more. */
function pathToParameter(used: Value, parameter: Value): ((cotangent: Value) => Value) | undefined {
  const steps: ((cotangent: Value) => Value)[] = [];
  let at = used;
  while (at !== parameter) {
    if (at.kind !== "result") return undefined;
    const step = rearrangement(at.node);
    if (!step) return undefined;
    steps.push(step);
    at = at.node.inputs[0]!;
  }
  return (d) => steps.reduce((v, step) => step(v), d);
}

/**
 * Per-unit gradients of <seed, loss> with respect to every parameter, however it is used.
 * @param loss any value whose rows belong to units; `seed` has its shape (the weight of each view, 0 for padding).
 * @param images the values that hold private data and the axis along which their units lie, units x views rows each.
 * Throws LG-AUTODIFF-002 where an operator mixes units, LG-AUTODIFF-001 where a rule is missing, LG-AUTODIFF-003 for a
 * parameter that is not reached.
 */
export function unitGradients(
  loss: Value,
  seed: Value,
  parameters: readonly Value[],
  images: ReadonlyMap<Value, UnitAxis>,
  layout: UnitLayout,
): UnitGradients {
  // The seed is a root too: weights that mixed units would carry one into the gradient of another.
  const axisOf = unitAxes([loss, seed], images, layout.units * layout.views);
  const isPrivate = (v: Value): boolean => axisOf(v) !== undefined;
  const isTrained = dependents([loss], parameters);
  // Where something made of parameters alone meets something made of images.
  const uses = new Map<Value, UnitContribution[]>();
  pullBack([[loss, seed]], (v) => isTrained(v) && isPrivate(v), (node, cotangents) => {
    node.inputs.forEach((value, index) => {
      if (!value || isPrivate(value) || !isTrained(value)) return;
      const contribution = contributionOf({ node, index, cotangents, layout, axisOf });
      uses.set(value, [...(uses.get(value) ?? []), contribution]);
    });
  }); // prettier-ignore

  const held = parameters.map((p, i) => {
    const mine = [...uses].filter(([value]) => dependents([value], [p])(value));
    if (mine.length === 0) throw unreached(p, i);
    const perRow = mine.find(([value, found]) => found.some((c) => c.perRow) && pathToParameter(value, p));
    if (perRow) throw rowwise(p, i);
    return hold(p, mine, layout.units);
  });
  const norms = jointNorms(held);
  return {
    squaredNorm: sum(norms.joint),
    get squaredNorms() {
      return held.map(squaredNorm);
    },
    weightedSums: (factors) => weightedSums(held, "kind" in factors ? held.map(() => factors) : factors, layout.units),
    forms: held.map((h) => h.form),
  };
}

function rowwise(parameter: Value, index: number): LeadglassError {
  const name = "name" in parameter && parameter.name ? parameter.name : `number ${index}`;
  return new LeadglassError(
    "LG-AUTODIFF-002",
    `parameter ${name} of shape [${parameter.shape.join(", ")}] holds numbers for each row of a batch`,
    { hint: "Give it size 1 along the batch axis, so that all rows share it." },
  );
}

/** Chooses the form of one parameter's per-unit gradient. */
function hold(
  parameter: Value,
  uses: readonly (readonly [Value, readonly UnitContribution[]])[],
  units: number,
): Instantiated | Gram {
  const size = sizeOf(parameter.shape);
  const [single] = uses;
  const path = uses.length === 1 ? pathToParameter(single![0], parameter) : undefined;
  if (path && single![1].length === 1) {
    const contribution = single![1][0]!;
    const finish = (s: Value): Value => reshape(path(contribution.finish(s)), parameter.shape);
    if (contribution.factors && prefersGram(contribution.factors))
      return { form: "gram", factors: contribution.factors, finish };
    return { form: "instantiated", parts: contribution.instantiate(), finish };
  }
  // Shared weights: several uses of the same value, whose unfinished gradients lie in the same order.
  if (path && single![1].every((c) => !c.reordered)) {
    const gradient = sum(single![1].map((c) => concat(c.instantiate(), 1)));
    return { form: "instantiated", parts: [gradient], finish: (s) => reshape(path(reshape(s, single![0].shape)), parameter.shape) }; // prettier-ignore
  }
  // Uses in several forms, or behind arithmetic on parameters: every unit's gradient is finished, pulled back and added.
  const rows = range(units).map((unit) => {
    const seeds = uses.flatMap(([value, contributions]) =>
      contributions.map((c): readonly [Value, Value] => {
        const gradient = concat(c.instantiate(), 1);
        return [value, c.finish(reshape(slice(gradient, [unit], [unit + 1], [0]), [-1]))];
      }),
    );
    const roots = new Map<Value, Value>();
    for (const [value, cotangent] of seeds) {
      const other = roots.get(value);
      roots.set(value, other ? add(other, cotangent) : cotangent);
    }
    const direct = roots.get(parameter);
    const indirect = [...roots].filter(([value]) => value !== parameter);
    const wanted = dependents(indirect.map(([value]) => value), [parameter]); // prettier-ignore
    const pulled = indirect.length > 0 ? pullBack(indirect, wanted)(parameter) : undefined;
    const total = [direct, pulled].filter((v) => v !== undefined);
    return reshape(sum(total), [1, size]);
  });
  return { form: "instantiated", parts: [concat(rows, 0)], finish: (s) => reshape(s, parameter.shape) };
}

/** Gradients of few numbers (scales, biases) are joined, so that a network of many layers has few small operations. */
const smallSize = 4096;

const isSmall = (h: Instantiated | Gram): boolean =>
  h.form === "instantiated" && h.parts.reduce((n, part) => n + part.shape[1]!, 0) <= smallSize;

const squaredNorm = (h: Instantiated | Gram): Value =>
  h.form === "gram" ? gramNorm(h.factors) : sum(h.parts.map(squaredRows));

/** Small gradients side by side, [units, sum of sizes]. */
const joined = (small: readonly Instantiated[]): Value => concat(small.flatMap((h) => h.parts), 1); // prettier-ignore

function jointNorms(held: readonly (Instantiated | Gram)[]): { joint: Value[] } {
  const small = held.filter((h) => h.form === "instantiated").filter(isSmall);
  const joint = held.filter((h) => !isSmall(h)).map(squaredNorm);
  if (small.length > 0) joint.push(squaredRows(joined(small)));
  return { joint };
}

function weightedSums(held: readonly (Instantiated | Gram)[], factors: readonly Value[], units: number): Value[] {
  const rows = new Map(factors.map((f) => [f, reshape(f, [1, units])]));
  // Small gradients with the same factors are joined; `at` is how far each joint product has been handed out.
  const joint = new Map<Value, { readonly product: Value; at: number }>();
  for (const [f, row] of rows) {
    const small = held.filter((h, i) => factors[i] === f && isSmall(h)) as Instantiated[];
    if (small.length > 0) joint.set(f, { product: matMul(row, joined(small)), at: 0 });
  }
  return held.map((h, i) => {
    const f = factors[i]!;
    if (h.form === "gram") return h.finish(gramSum(h.factors, f));
    if (!isSmall(h)) {
      const sums = h.parts.map((part) => matMul(rows.get(f)!, part));
      return h.finish(reshape(concat(sums, 1), [-1]));
    }
    const n = h.parts.reduce((total, part) => total + part.shape[1]!, 0);
    const part = joint.get(f)!;
    part.at += n;
    return h.finish(reshape(slice(part.product, [part.at - n], [part.at], [1]), [n]));
  });
}
