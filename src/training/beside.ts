/** Images of nobody beside a private pool: their gradient needs no noise, so it is added to the noisy one exactly. */
import { graphOf, input, mul, simplify, substitute, sizeOf, type Graph, type Value } from "../graph/index.ts";
import type { Model, Parameter } from "../nn/model.ts";
import { shuffledBatch } from "../privacy/index.ts";
import type { Engine } from "../runtime/index.ts";
import { fillTile, normFeed, runTile } from "./accumulate.ts";
import type { TrainingData } from "./data.ts";
import type { Loss } from "./losses.ts";
import { accumulateGraph, type GradientSum } from "./step.ts";
import { estimateTileUnits } from "./tile.ts";

/** How much images beside the pool count; public, as they are. */
export interface BesideSettings {
  /** What the mean of their gradients is multiplied by before it is added to the pool's; 1 makes both equal. */
  readonly weight: number;
  /** How many of them a step takes. */
  readonly batchSize: number;
}

export interface Beside extends AsyncDisposable {
  /** Sets `exact/<name>` to the weighted mean gradient of the step's images; `clipNorm` where the clipping is adaptive. */
  readonly sum: (step: number, clipNorm?: number) => Promise<void>;
}

/**
 * Prepares the exact part of every step. Each image is clipped as a unit of the pool is, so that none weighs more than a
 * patient may. Its batches are shuffled epochs: who draws them learns nothing of patients.
 */
export async function startBeside(options: {
  readonly engine: Engine;
  readonly modelFor: (rows: number) => Model;
  readonly data: TrainingData;
  readonly settings: BesideSettings;
  readonly loss: Loss;
  readonly how: GradientSum;
  readonly views: number;
  readonly seed: string;
}): Promise<Beside> {
  const { engine, modelFor, data, settings, loss, how, views } = options;
  const seed = `${options.seed}, beside`;
  const batch = Math.min(settings.batchSize, data.units.length);
  const { parameters } = modelFor(views);
  const graphFor = (units: number): Graph =>
    intoExact(accumulateGraph(modelFor(units * views), loss, how, { units, views }), parameters);
  const units = estimateTileUnits(graphFor, batch, 1);
  const names = parameters.map(({ name }) => `exact/${name}`);
  await engine.write(
    Object.fromEntries(
      parameters.map(({ name, value: { shape } }) => [
        `exact/${name}`,
        { data: new Float32Array(sizeOf(shape)), shape },
      ]),
    ),
  );
  const tile = await engine.load(graphFor(units));
  const scaling = await engine.load(scalingGraph(parameters), { seldom: true });
  return {
    sum: async (step, clipNorm) => {
      await engine.zero(names);
      const drawn = shuffledBatch(data.units.length, batch, seed, step);
      const counters = { nonFinite: 0, clipped: 0, seen: 0 };
      for (let i = 0; i < drawn.length; i += units) {
        const chosen = drawn.slice(i, i + units);
        const fill = async () => ({
          ...(await fillTile(data, chosen, units, views, seed, step)),
          ...normFeed(how, clipNorm),
        });
        await runTile(tile, await fill(), fill, chosen.length, how, counters);
      }
      await scaling.run({ scale: { data: Float32Array.of(settings.weight / drawn.length), shape: [] } });
    },
    [Symbol.asyncDispose]: async () => {
      await tile[Symbol.asyncDispose]();
      await scaling[Symbol.asyncDispose]();
    },
  };
}

/** The same sums under other names: `sum/X` becomes `exact/X`. */
function intoExact(graph: Graph, parameters: readonly Parameter[]): Graph {
  const renamed = new Map(
    graph.inputs.flatMap((i) =>
      i.name.startsWith("sum/") ? [[i, input(i.name.replace("sum/", "exact/"), i.shape, i.dtype)] as const] : [],
    ),
  );
  const values = substitute(
    graph.outputs.map(({ value }) => value),
    new Map<Value, Value>(renamed),
  );
  const outputs = graph.outputs.map(({ name }, i) => [name.replace("next/sum/", "next/exact/"), values[i]!] as const);
  return graphOf(
    `beside, ${parameters.length} parameters`,
    Object.fromEntries(outputs),
    graph.inputs.map((i) => renamed.get(i) ?? i),
  );
}

function scalingGraph(parameters: readonly Parameter[]): Graph {
  const scale = input("scale", []);
  const outputs = parameters.map(({ name, value: { shape } }) => [
    `next/exact/${name}`,
    mul(input(`exact/${name}`, shape), scale),
  ]);
  return simplify(graphOf("scale exact sums", Object.fromEntries(outputs)));
}
