/** Per-unit gradients against the oracle: ordinary gradients of a micro-batch that holds one unit alone. */
import { expect } from "vitest";
import {
  add,
  input,
  mul,
  reduceSum,
  reshape,
  scalar,
  sizeOf,
  sqrt,
  type DType,
  type Input,
  type Shape,
  type Value,
} from "../../graph/index.ts";
import { gradients } from "../gradients.ts";
import { compile, feedOf, norm, numbers, relativeError, type Domain, type Evaluated, type Feed } from "../testing.ts";
import { clipFlat, type ClippedSums } from "./clip.ts";
import type { UnitLayout } from "./contributions.ts";
import { unitGradients, type UnitGradients } from "./gradients.ts";

/** Private data of a model under test. */
export interface DataInput {
  /** Shape for a number of rows (units x views). */
  readonly shape: (rows: number) => Shape;
  /** Where the rows lie. */
  readonly axis?: number;
  readonly domain?: Domain;
  /** Indices, drawn from -below to below - 1 where negative ones are wanted. */
  readonly indices?: { readonly below: number; readonly negative?: boolean; readonly dtype?: DType };
}

export interface UnitModel {
  readonly name: string;
  readonly data: Readonly<Record<string, DataInput>>;
  /** Shapes of the trained parameters. */
  readonly parameters: Readonly<Record<string, Shape>>;
  /** Shapes of parameters that stay as they are. */
  readonly frozen?: Readonly<Record<string, Shape>>;
  readonly domains?: Readonly<Record<string, Domain>>;
  /** Anything with the rows along axis 0; the loss of a row is sum(y + y^2 / 2) over what belongs to it. */
  readonly forward: (values: Readonly<Record<string, Value>>, rows: number) => Value;
  /** The form in which each parameter's gradient must be held; "either" where it depends on the number of views. */
  readonly forms: Readonly<Record<string, "gram" | "instantiated" | "either">>;
}

/** 1e-5 relative: float32 sums of up to some hundred terms on both sides. */
export const unitTolerance = 1e-5;

interface Built {
  readonly values: Readonly<Record<string, Input>>;
  readonly parameters: readonly Input[];
  readonly images: ReadonlyMap<Value, number>;
  readonly loss: Value;
  readonly weights: Input;
}

export function buildModel(model: UnitModel, rows: number): Built {
  const values: Record<string, Input> = {};
  const images = new Map<Value, number>();
  for (const [name, d] of Object.entries(model.data)) {
    values[name] = input(name, d.shape(rows), d.indices ? (d.indices.dtype ?? "int64") : "float32");
    images.set(values[name], d.axis ?? 0);
  }
  for (const [name, shape] of Object.entries({ ...model.parameters, ...model.frozen }))
    values[name] = input(name, shape);
  const y = model.forward(values, rows);
  const loss = reduceSum(reshape(add(y, mul(mul(y, y), scalar(0.5))), [rows, -1]), [1]);
  const parameters = Object.keys(model.parameters).map((name) => values[name]!);
  return { values, parameters, images, loss, weights: input("weights", [rows]) };
}

/** Seeded numbers for a model: data for all rows, parameters, and view weights that add up to 1 in each unit. */
export function drawFeeds(model: UnitModel, { units, views }: UnitLayout, seed: number): Record<string, Feed> {
  const rows = units * views;
  const feeds: Record<string, Feed> = {};
  for (const [name, { shape, domain, indices }] of Object.entries(model.data)) {
    const drawn = numbers(seed, name, sizeOf(shape(rows)), indices ? "positive" : domain);
    if (!indices) feeds[name] = feedOf(drawn, "float32");
    else {
      const { below, negative = false, dtype = "int64" } = indices;
      const [low, span] = negative ? [-below, 2 * below] : [0, below];
      feeds[name] = feedOf(
        drawn.map((v) => low + Math.min(span - 1, Math.floor(((v - 0.5) / 1.5) * span))),
        dtype,
      );
    }
  }
  for (const [name, shape] of Object.entries({ ...model.parameters, ...model.frozen }))
    feeds[name] = feedOf(numbers(seed, name, sizeOf(shape), model.domains?.[name]), "float32");
  const weights = numbers(seed, "weights", rows, "positive");
  for (let u = 0; u < units; u++) {
    const total = weights.subarray(u * views, (u + 1) * views).reduce((a, b) => a + b, 0);
    for (let v = 0; v < views; v++) weights[u * views + v]! /= total;
  }
  return { ...feeds, weights: feedOf(weights, "float32") };
}

/** The part of a feed that belongs to one unit. */
function cut(data: Feed, shape: Shape, axis: number, units: number, unit: number): Feed {
  const [outer, inner] = [sizeOf(shape.slice(0, axis)), sizeOf(shape.slice(axis + 1))];
  const block = (shape[axis]! / units) * inner;
  const out = data.slice(0, outer * block);
  for (let o = 0; o < outer; o++) {
    const from = (o * units + unit) * block;
    (out as Float32Array).set(data.subarray(from, from + block) as Float32Array, o * block);
  }
  return out;
}

/** Gradients of every unit, by parameter, each computed from a micro-batch that holds nothing but this unit. */
export async function oracle(
  model: UnitModel,
  layout: UnitLayout,
  feeds: Record<string, Feed>,
): Promise<Evaluated[][]> {
  const { units, views } = layout;
  const { parameters, loss, weights } = buildModel(model, views);
  const named = Object.fromEntries(gradients(loss, parameters, weights).map((g, i) => [`g${i}`, g]));
  await using alone = await compile(named);
  const all: Evaluated[][] = [];
  for (let u = 0; u < units; u++) {
    const own: Record<string, Feed> = { ...feeds, weights: cut(feeds["weights"]!, [units * views], 0, units, u) };
    for (const [name, d] of Object.entries(model.data))
      own[name] = cut(feeds[name]!, d.shape(units * views), d.axis ?? 0, units, u);
    const found = await alone.run(own);
    all.push(parameters.map((_, i) => found[`g${i}`]!));
  }
  return all;
}

export interface Run {
  readonly norms: number[];
  /** What each unit's gradient was multiplied by; the smallest where layers differ. */
  readonly factors: number[];
  /** By parameter, for each unit. */
  readonly parameterNorms: number[][];
  readonly sums: Evaluated[];
  /** Sums over units of unclipped gradients. */
  readonly totals: Evaluated[];
  readonly batch: Evaluated[];
  readonly forms: UnitGradients["forms"];
}

/** Compiles the per-unit step of a model once; `run` feeds it. */
export async function compileUnits(
  model: UnitModel,
  layout: UnitLayout,
  {
    clipNorm = 1,
    clip = (found, present) => clipFlat(found, clipNorm, present),
    lowered = false,
  }: {
    readonly clipNorm?: number;
    readonly clip?: (found: UnitGradients, present: Value) => ClippedSums;
    readonly lowered?: boolean;
  } = {},
): Promise<AsyncDisposable & { readonly run: (feeds: Record<string, Feed>, present?: number[]) => Promise<Run> }> {
  const { parameters, images, loss, weights } = buildModel(model, layout.units * layout.views);
  const found = unitGradients(loss, weights, parameters, images, layout);
  const present = input("present", [layout.units]);
  const clipped = clip(found, present);
  const totals = found.weightedSums(present);
  const batch = gradients(loss, parameters, weights);
  const named: Record<string, Value> = { norms: clipped.norms, factors: clipped.factors };
  parameters.forEach((_, i) => {
    named[`norm${i}`] = sqrt(found.squaredNorms[i]!);
    named[`sum${i}`] = clipped.sums[i]!;
    named[`total${i}`] = totals[i]!;
    named[`batch${i}`] = batch[i]!;
  });
  const compiled = await compile(named, { lowered });
  return {
    async run(feeds, here = Array<number>(layout.units).fill(1)) {
      const all = await compiled.run({ ...feeds, present: Float32Array.from(here) });
      const each = (prefix: string): Evaluated[] => parameters.map((_, i) => all[`${prefix}${i}`]!);
      return {
        norms: Array.from(all["norms"]!.data, Number),
        factors: Array.from(all["factors"]!.data, Number),
        parameterNorms: each("norm").map((n) => Array.from(n.data, Number)),
        sums: each("sum"),
        totals: each("total"),
        batch: each("batch"),
        forms: found.forms,
      };
    },
    [Symbol.asyncDispose]: () => compiled[Symbol.asyncDispose](),
  };
}

/** What clipping to `clipNorm` must give, in double precision from the oracle's gradients. */
export function clippedSum(units: readonly Evaluated[][], clipNorm: number): { norms: number[]; sums: Float64Array[] } {
  const norms = units.map((g) => Math.hypot(...g.map((p) => norm(p.data as Float32Array))));
  const sums = (units[0] ?? []).map((p) => new Float64Array(p.data.length));
  units.forEach((g, u) => {
    const factor = Math.min(1, clipNorm / Math.max(norms[u]!, 1e-12));
    g.forEach((p, i) => p.data.forEach((x, k) => (sums[i]![k]! += factor * Number(x))));
  });
  return { norms, sums };
}

/** Compares norms, clipped sums, unclipped sums and forms with the oracle for one layout. */
export async function checkUnits(model: UnitModel, layout: UnitLayout, seed: number, lowered: boolean): Promise<void> {
  const feeds = drawFeeds(model, layout, seed);
  const alone = await oracle(model, layout, feeds);
  // The middle of the norms: some units are clipped, others are not.
  const sorted = clippedSum(alone, 1).norms.toSorted((a, b) => a - b);
  const clipNorm = Math.fround(0.9 * sorted[Math.floor(sorted.length / 2)]!);
  const expected = clippedSum(alone, clipNorm);
  await using step = await compileUnits(model, layout, { clipNorm, lowered });
  const run = await step.run(feeds);
  const names = Object.keys(model.parameters);
  const place = `${model.name}, ${layout.units} units of ${layout.views} views`;
  const forms = run.forms.map((f, i) => [names[i]!, model.forms[names[i]!] === "either" ? "either" : f]);
  expect(Object.fromEntries(forms), `${place}: forms`).toEqual(model.forms);
  run.norms.forEach((n, u) => {
    expect(Math.abs(n / expected.norms[u]! - 1), `${place}: norm of unit ${u}`).toBeLessThan(unitTolerance);
  });
  names.forEach((name, i) => {
    const own = alone.map((g) => norm(g[i]!.data as Float32Array));
    expect(relativeError(run.parameterNorms[i]!, own), `${place}: norms of ${name}`).toBeLessThan(unitTolerance);
    expect(run.sums[i]!.shape, `${place}: shape of ${name}`).toEqual(model.parameters[name]);
    expect(relativeError(run.sums[i]!.data, expected.sums[i]!), `${place}: clipped sum of ${name}`).toBeLessThan(
      unitTolerance,
    );
    expect(relativeError(run.totals[i]!.data, run.batch[i]!.data), `${place}: sum of ${name}`).toBeLessThan(
      unitTolerance,
    );
  });
}
