import { LeadglassError } from "../errors.ts";
import { add, graphOf, input, sizeOf, type Graph } from "../graph/index.ts";
import { seededRandom } from "../math/random.ts";
import type { Model } from "../nn/model.ts";
import type { Engine, Program } from "../runtime/index.ts";
import { chooseViews, type RowRequest, type TrainingData } from "./data.ts";
import type { Loss } from "./losses.ts";
import { prepareOnce, type PreparedGraph } from "./prepare.ts";
import { accumulateGraph, clipNormInput, type GradientSum } from "./step.ts";
import { estimateTileUnits, measureTileUnits } from "./tile.ts";

/** Tiles that an engine should have in a step. */
const tilesOfShare = 2;

/** What is counted over a run; private, for the data owner. */
export interface Counters {
  /** Units whose gradient was not finite. */
  nonFinite: number;
  clipped: number;
  seen: number;
}

export interface AccumulatorOptions {
  /** The first keeps the state; all of them accumulate. */
  readonly engines: readonly [Engine, ...Engine[]];
  readonly modelFor: (rows: number) => Model;
  readonly data: TrainingData;
  readonly loss: Loss;
  readonly how: GradientSum;
  readonly views: number;
  /** Seed of the choice of views. */
  readonly seed: string;
  /** About how many units a step has; public. */
  readonly batchSize: number;
  /** The tile, where it is known; otherwise it is measured, or estimated where `measure` is false. */
  readonly tileUnits?: number | undefined;
  readonly measure: boolean;
}

/** Sums gradients of units, tile by tile, on every engine. */
export interface Accumulator extends AsyncDisposable {
  /** Units of a tile. */
  readonly units: number;
  /**
   * Adds the gradients of the given units to the first engine's sums; returns their mean loss, null for none, and the sum of
   * (1 for a gradient that was not scaled down, 0 for one that was) less one half over the units whose gradient is finite.
   * `clipNorm` is the norm in force where the clipping is adaptive. All of it is private.
   */
  readonly sum: (
    units: readonly number[],
    step: number,
    counters: Counters,
    clipNorm?: number,
  ) => Promise<{ readonly loss: number | null; readonly withinLessHalf: number }>;
  /** Gives the first engine's new parameters to the others, prepares what depends on them, and clears all sums. */
  readonly renew: () => Promise<void>;
}

/**
 * Compiles the accumulate graph for every engine. Parameters and sums must be in the first engine's state already.
 * Tiles go to the engines in turn, and their sums are added in a fixed order, so a step's result does not depend on which
 * engine was faster.
 */
export async function startAccumulator(options: AccumulatorOptions): Promise<Accumulator> {
  const { engines, modelFor, data, loss, how, views, seed } = options;
  const [main, ...helpers] = engines;
  // Several tiles to each engine's share of a batch, so that one is filled while another runs and none is left idle.
  const mostUnits = Math.max(1, Math.ceil(options.batchSize / engines.length / tilesOfShare));
  const { parameters } = modelFor(views);
  const names = parameters.map((p) => p.name);
  const sums = names.map((n) => `sum/${n}`);
  const graphs = new Map<number, PreparedGraph>();
  const preparedFor = (units: number): PreparedGraph => {
    const known = graphs.get(units);
    if (known) return known;
    const model = modelFor(units * views);
    const whole = accumulateGraph(model, loss, how, { units, views }, data.canaries?.parameter);
    const made = prepareOnce(
      whole,
      model.parameters.map((p) => p.value),
    );
    graphs.set(units, made);
    return made;
  };
  const graphFor = (units: number): Graph => preparedFor(units).graph;
  /** Loads a tile; its prepared state is there when it is ready. */
  const loadTile = async (engine: Engine, units: number): Promise<LoadedTile> => {
    const { prepare, graph } = preparedFor(units);
    const preparing = prepare && (await engine.load(prepare, { seldom: true }));
    await preparing?.run({});
    return { program: await engine.load(graph), preparing };
  };
  const fixed =
    options.tileUnits ?? (options.measure ? undefined : estimateTileUnits(graphFor, mostUnits, engines.length));
  const units =
    fixed ??
    (await measureTileUnits({
      graphFor,
      load: async (candidate) => {
        const { program, preparing } = await loadTile(main, candidate);
        await preparing?.[Symbol.asyncDispose]();
        return program;
      },
      feedsFor: (candidate) => ({ ...emptyTile(data, candidate, views), ...normFeed(how, undefined) }),
      mostUnits,
      engines: engines.length,
    }));
  const tiles = [await loadTile(main, units)];
  for (const helper of helpers) {
    await helper.write(await main.read([...names, ...sums]));
    tiles.push(await loadTile(helper, units));
  }
  graphs.clear();
  const adding = helpers.length > 0 ? await main.load(addingGraph(parameters), { seldom: true }) : undefined;

  const runChunks = async (
    chunks: readonly (readonly number[])[],
    program: Program,
    step: number,
    counters: Counters,
    clipNorm: number | undefined,
  ): Promise<UnitResult[]> => {
    const results: UnitResult[] = [];
    const fill = async (c: number): Promise<TileFeeds> => ({
      ...(await fillTile(data, chunks[c]!, units, views, seed, step)),
      ...normFeed(how, clipNorm),
    });
    let next = chunks.length > 0 ? fill(0) : undefined;
    for (let c = 0; c < chunks.length; c++) {
      const feeds = await next!;
      const running = runTile(program, feeds, () => fill(c), chunks[c]!.length, how, counters);
      // The next tile is read and decoded while this one runs.
      next = c + 1 < chunks.length ? fill(c + 1) : undefined;
      next?.catch(() => undefined);
      results.push(...(await running));
    }
    return results;
  };

  return {
    units,
    sum: async (drawn, step, counters, clipNorm) => {
      const chunks: (readonly number[])[] = [];
      for (let i = 0; i < drawn.length; i += units) chunks.push(drawn.slice(i, i + units));
      const shares = engines.map((_, e) => chunks.filter((_chunk, c) => c % engines.length === e));
      const results = await Promise.all(
        shares.map((share, e) => runChunks(share, tiles[e]!.program, step, counters, clipNorm)),
      );
      for (const [e, helper] of helpers.entries())
        if (shares[e + 1]!.length > 0) {
          const found = await helper.read(sums);
          await adding!.run(Object.fromEntries(names.map((n) => [`more/${n}`, found[`sum/${n}`]!])));
        }
      const all = results.flat();
      return {
        loss: all.length > 0 ? all.reduce((total, { loss }) => total + loss, 0) / all.length : null,
        withinLessHalf: all.reduce((total, { scaledDown }) => total + (scaledDown ? -0.5 : 0.5), 0),
      };
    },
    renew: async () => {
      // Each engine answers in order, so nothing has to be waited for but what goes from one to another.
      await Promise.all([
        ...engines.map((engine) => engine.zero(sums)),
        ...helpers.map(async (helper) => helper.write(await main.read(names))),
      ]);
      await Promise.all(tiles.map(({ preparing }) => preparing?.run({})));
    },
    [Symbol.asyncDispose]: async () => {
      for (const { program, preparing } of tiles) {
        await program[Symbol.asyncDispose]();
        await preparing?.[Symbol.asyncDispose]();
      }
      await adding?.[Symbol.asyncDispose]();
    },
  };
}

interface LoadedTile {
  readonly program: Program;
  /** What is computed from the parameters once a step. */
  readonly preparing: Program | undefined;
}

/** Adds another engine's sums to our own. */
function addingGraph(parameters: Model["parameters"]): Graph {
  const outputs = parameters.map(({ name, value: { shape } }) => [
    `next/sum/${name}`,
    add(input(`sum/${name}`, shape), input(`more/${name}`, shape)),
  ]);
  return graphOf("add sums", Object.fromEntries(outputs));
}

/** What is known of one unit after its tile; private. */
export interface UnitResult {
  readonly loss: number;
  readonly scaledDown: boolean;
}

interface FloatTensor {
  readonly data: Float32Array;
  readonly shape: readonly number[];
}

export interface TileFeeds {
  readonly features: FloatTensor;
  readonly targets: FloatTensor;
  readonly known: FloatTensor;
  readonly weights: FloatTensor;
  readonly present: FloatTensor;
  readonly "canary/index"?: { readonly data: BigInt64Array; readonly shape: readonly number[] };
  readonly "canary/scale"?: FloatTensor;
  readonly [clipNormInput]?: FloatTensor;
}

/** The norm in force, as adaptive clipping's graph reads it; fed arrays are moved, so it is made anew for each run. */
export function normFeed(how: GradientSum, norm: number | undefined): Pick<TileFeeds, typeof clipNormInput> {
  if (how.kind !== "clipped" || how.clipping.kind !== "adaptive") return {};
  return { [clipNormInput]: { data: Float32Array.of(norm ?? how.clipping.norm), shape: [] } };
}

function emptyTile({ rowShape, outputs, canaries }: TrainingData, units: number, views: number): TileFeeds {
  const rows = units * views;
  const zeros = (...shape: number[]): FloatTensor => ({ data: new Float32Array(sizeOf(shape)), shape });
  return {
    features: zeros(rows, ...rowShape),
    targets: zeros(rows, outputs),
    known: zeros(rows, outputs),
    weights: zeros(rows),
    present: zeros(units),
    ...(canaries && {
      "canary/index": { data: new BigInt64Array(rows), shape: [rows] },
      "canary/scale": zeros(rows),
    }),
  };
}

/** The rows of some units; what is left of the tile is padding of weight zero. */
export async function fillTile(
  data: TrainingData,
  units: readonly number[],
  tileUnits: number,
  views: number,
  seed: string,
  step: number,
): Promise<TileFeeds> {
  const feeds = emptyTile(data, tileUnits, views);
  const rowSize = sizeOf(data.rowShape);
  const requests: RowRequest[] = [];
  const rows: number[] = [];
  units.forEach((unit, i) => {
    const chosen = chooseViews(data.units[unit]!, data.variants, views, () => seededRandom(seed, "views", step, unit));
    const canary = data.canaries?.of.get(unit);
    if (canary) {
      feeds["canary/index"]!.data.fill(BigInt(canary.index), i * views, (i + 1) * views);
      feeds["canary/scale"]!.data.fill(canary.scale, i * views, (i + 1) * views);
    }
    chosen.requests.forEach((request, v) => {
      const row = i * views + v;
      requests.push(request);
      rows.push(row);
      feeds.weights.data[row] = chosen.weights[v]!;
      for (let k = 0; k < data.outputs; k++) {
        feeds.targets.data[row * data.outputs + k] = data.targets[request.image * data.outputs + k]!;
        feeds.known.data[row * data.outputs + k] = data.known[request.image * data.outputs + k]!;
      }
    });
    feeds.present.data[i] = 1;
  });
  const loaded = new Float32Array(requests.length * rowSize);
  await data.load(requests, loaded);
  rows.forEach((row, i) => feeds.features.data.set(loaded.subarray(i * rowSize, (i + 1) * rowSize), row * rowSize));
  return feeds;
}

/**
 * Runs one tile and returns what is known of its units. Where a unit's gradient (or, unclipped, its loss) is not finite, the
 * sums are put back, the unit is blanked, and the tile is run again: it changes nothing but a counter.
 */
export async function runTile(
  program: Program,
  first: TileFeeds,
  refill: () => Promise<TileFeeds>,
  count: number,
  how: GradientSum,
  counters: Counters,
): Promise<UnitResult[]> {
  const excluded = new Set<number>();
  for (let feeds = first; ;) {
    // Moved, not copied: a tile that has to run again is filled again.
    const results = await program.run({ ...feeds });
    const losses = results["losses"]!.data as Float32Array;
    const norms = results["norms"]?.data as Float32Array | undefined;
    const finite = (i: number): boolean => Number.isFinite(norms?.[i] ?? losses[i]);
    const bad = [...Array(count).keys()].filter((i) => !excluded.has(i) && !finite(i));
    const blankStillBad = [...excluded].some((i) => !finite(i));
    if (bad.length === 0 && !blankStillBad) {
      const good = [...Array(count).keys()].filter((i) => !excluded.has(i));
      counters.nonFinite += excluded.size;
      counters.seen += good.length;
      const factors = results["factors"]?.data as Float32Array | undefined;
      const units = good.map((i) => ({ loss: losses[i]!, scaledDown: factors !== undefined && factors[i]! < 1 }));
      counters.clipped += units.filter((unit) => unit.scaledDown).length;
      return units;
    }
    await program.undo();
    if (blankStillBad)
      // Even a blank unit has no finite gradient: the parameters themselves are lost.
      throw new LeadglassError("LG-TRAIN-001", "training diverged: the parameters are no longer finite", {
        hint: "Lower --lr, or start again from the last checkpoint with another optimiser.",
      });
    for (const i of bad) excluded.add(i);
    feeds = await refill();
    for (const i of excluded) blank(feeds, i);
  }
}

function blank(feeds: TileFeeds, unit: number): void {
  const units = feeds.present.data.length;
  const scale = feeds["canary/scale"];
  for (const { data } of [
    feeds.features,
    feeds.targets,
    feeds.known,
    feeds.weights,
    feeds.present,
    ...(scale ? [scale] : []),
  ]) {
    const size = data.length / units;
    data.fill(0, unit * size, (unit + 1) * size);
  }
}
