import { availableParallelism } from "node:os";
import { startEngine, type Device, type Engine } from "../runtime/index.ts";

/** Engines that share the tiles of every step. */
export interface EngineTeam extends AsyncDisposable {
  /** Keeps the optimiser and makes the updates. */
  readonly engine: Engine;
  /** Accumulate tiles too, and hand over their sums. */
  readonly helpers: readonly Engine[];
}

/** Below this a step is so little work that handing sums over costs more than it brings. */
const leastFloatsPerStep = 20e6;
const mostEngines = 4;

/**
 * Starts the engines for a training. A network with much work a step gets up to four, each with its share of the cores:
 * many operators of ONNX Runtime run on one thread, so two engines of one thread do 15 % more than one of two.
 * @param floatsPerStep numbers that a step writes: units of a batch times `floatsOfUnit`.
 */
export async function startTeam(options: {
  readonly device?: Device;
  readonly floatsPerStep: number;
  readonly cores?: number;
}): Promise<EngineTeam> {
  const { device = "cpu", floatsPerStep, cores = availableParallelism() } = options;
  const count = device === "cpu" && floatsPerStep >= leastFloatsPerStep ? Math.min(cores, mostEngines) : 1;
  const threads = Math.max(1, Math.floor(cores / count));
  const engines: Engine[] = [];
  const dispose = async (): Promise<void> => {
    for (const engine of engines) await engine[Symbol.asyncDispose]();
  };
  try {
    for (let i = 0; i < count; i++) engines.push(await startEngine({ device, threads }));
  } catch (error) {
    await dispose();
    throw error;
  }
  return { engine: engines[0]!, helpers: engines.slice(1), [Symbol.asyncDispose]: dispose };
}
