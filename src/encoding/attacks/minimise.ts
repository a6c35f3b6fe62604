/** Trainings of attackers: losses as graph, one after the other at every step, by Adam; they can be stopped and resumed. */
import { rm } from "node:fs/promises";
import { gradients } from "../../autodiff/index.ts";
import { LeadglassError } from "../../errors.ts";
import { graphOf, input, scalar, simplify, type Value } from "../../graph/index.ts";
import { lower } from "../../graph/lower.ts";
import { seededRandom } from "../../math/random.ts";
import { initialParameters, type Parameter } from "../../nn/index.ts";
import { startEngine, type Engine, type Feeds, type HostTensor, type Program } from "../../runtime/index.ts";
import { completeSettings, optimisers, readCheckpoint, writeCheckpoint } from "../../training/index.ts";

/** One loss and what it moves. */
export interface Turn {
  readonly name: string;
  /** A scalar. */
  readonly loss: Value;
  readonly parameters: readonly Parameter[];
}

export interface Minimisation {
  readonly name: string;
  readonly turns: readonly Turn[];
  readonly steps: number;
  readonly learningRate: number;
  readonly weightDecay?: number;
  readonly seed: number;
  /** What a step reads; called anew for every turn, since arrays are moved. Parameters are in the engine under their names. */
  readonly feeds: (step: number, engine: Engine) => Promise<Feeds> | Feeds;
  /** Tensors that stay in the engine. */
  readonly held?: () => Feeds;
}

/** How long a training may go on, and where it is kept meanwhile. */
export interface Limits {
  /** A file that holds what was done so far; it is read where it exists, and removed at the end. */
  readonly checkpoint?: string;
  readonly seconds?: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: (done: number, total: number) => void;
}

export interface Minimised {
  readonly parameters: Readonly<Record<string, HostTensor>>;
  readonly losses: Readonly<Record<string, number>>;
  /** Fewer than asked for where the time was up. */
  readonly steps: number;
}

const checkpointSeconds = 20;

/** Trains; throws LG-RUNTIME-004 when cancelled, after keeping what was done, and LG-TRAIN-002 for another run's checkpoint. */
export async function minimise(
  { name, turns, steps, learningRate, weightDecay = 0, seed, feeds, held }: Minimisation,
  { checkpoint, seconds = Infinity, signal, onProgress }: Limits = {},
): Promise<Minimised> {
  const settings = completeSettings({ name: "adam", learningRate, weightDecay });
  const rule = optimisers.adam;
  const scalarNames = Object.keys(rule.scalars(0, learningRate, settings));
  const parameters = [...new Set(turns.flatMap((turn) => turn.parameters))];
  const state: Record<string, HostTensor> = {};
  const fresh = initialParameters({ parameters }, seededRandom(seed, name));
  for (const p of parameters) state[p.name] = { data: fresh[p.name]!, shape: p.value.shape };
  await using engine = await startEngine();
  const programs: { turn: string; program: Program; reads: ReadonlySet<string> }[] = [];
  for (const turn of turns) {
    const scalars = Object.fromEntries(scalarNames.map((s) => [s, input(`scalar/${s}`, [])]));
    const outputs: Record<string, Value> = { loss: turn.loss };
    const found = gradients(
      turn.loss,
      turn.parameters.map((p) => p.value),
      scalar(1),
    );
    turn.parameters.forEach((p, i) => {
      const own = Object.fromEntries(
        rule.state(settings).map((kind) => [kind, input(`${kind}/${p.name}`, p.value.shape)]),
      );
      const next = rule.update({ parameter: p.value, gradient: found[i]!, state: own, scalars }, settings);
      outputs[`next/${p.name}`] = next.parameter;
      for (const [kind, value] of Object.entries(next.state)) {
        outputs[`next/${kind}/${p.name}`] = value;
        const size = p.value.shape.reduce((x, y) => x * y, 1);
        state[`${kind}/${p.name}`] = { data: new Float32Array(size), shape: p.value.shape };
      }
    });
    const graph = simplify(lower(graphOf(`${name} ${turn.name}`, outputs)));
    const reads = new Set(graph.inputs.map((i) => i.name));
    programs.push({ turn: turn.name, program: await engine.load(graph), reads });
  }
  const kept = Object.keys(state);
  const identity = JSON.stringify([name, seed, steps, learningRate, weightDecay, kept.map((k) => state[k]!.shape)]);
  const before = await resumable(checkpoint, identity);
  await engine.write({ ...(before?.state ?? state), ...held?.() });
  let done = before?.step ?? 0;
  const losses: Record<string, number> = { ...before?.counters };
  const keep = async (): Promise<void> => {
    if (checkpoint === undefined) return;
    const now = await engine.read(kept);
    await writeCheckpoint(checkpoint, {
      step: done,
      tileUnits: 0,
      settings: identity,
      counters: { ...losses },
      state: now,
    });
  };
  const started = performance.now();
  let saved = started;
  while (done < steps && (performance.now() - started) / 1000 < seconds) {
    if (signal?.aborted) {
      await keep();
      throw new LeadglassError("LG-RUNTIME-004", `attack ${name}: cancelled after ${done} of ${steps} steps`, {
        hint: checkpoint === undefined ? "Begin again." : "Run the same command again to go on.",
      });
    }
    const rates = rule.scalars(done, learningRate * (1 - done / steps), settings);
    for (const { turn, program, reads } of programs) {
      const scalars = Object.entries(rates).map(
        ([s, v]) => [`scalar/${s}`, { data: Float32Array.of(v), shape: [] }] as const,
      );
      const given = Object.entries(await feeds(done, engine)).filter(([n]) => reads.has(n));
      const { loss } = await program.run({ ...Object.fromEntries(given), ...Object.fromEntries(scalars) });
      losses[turn] = loss!.data[0] as number;
    }
    done++;
    onProgress?.(done, steps);
    if (performance.now() - saved > 1000 * checkpointSeconds) {
      await keep();
      saved = performance.now();
    }
  }
  const found = await engine.read(parameters.map((p) => p.name));
  if (checkpoint !== undefined) await rm(checkpoint, { force: true });
  return { parameters: found, losses, steps: done };
}

async function resumable(path: string | undefined, identity: string) {
  if (path === undefined) return undefined;
  const found = await readCheckpoint(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (!found || found.settings === identity) return found;
  throw new LeadglassError("LG-TRAIN-002", `${path}: what an attack with other settings left`, {
    hint: "Remove it, or give another --out.",
  });
}

/** Runs a graph of learned parameters on some batches and hands on what comes out of each. */
export async function evaluateLearned(
  outputs: Readonly<Record<string, Value>>,
  parameters: Minimised["parameters"],
  batches: number,
  feeds: (batch: number) => Feeds,
  use: (results: Record<string, HostTensor>, batch: number) => void,
): Promise<void> {
  await using engine = await startEngine();
  const graph = graphOf("learned", outputs);
  const learned = graph.inputs.flatMap(({ name }) => {
    const found = parameters[name];
    return found ? [[name, { data: found.data.slice(), shape: found.shape }] as const] : [];
  });
  await engine.write(Object.fromEntries(learned));
  const program = await engine.load(graph, { seldom: true });
  for (let batch = 0; batch < batches; batch++) use(await program.run(feeds(batch)), batch);
}
