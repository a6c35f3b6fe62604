/** The thread that runs graphs, so that the event loop of whoever asked stays free. */
import { parentPort, workerData } from "node:worker_threads";
import * as ort from "onnxruntime-node";
import type { HostTensor, Part } from "./engine.ts";
import { anyName, statePrefix, type ProgramOutput, type Reply, type Request, type WorkerSettings } from "./protocol.ts";

const settings = workerData as WorkerSettings;
const port = parentPort!;

/** A state tensor and what it was before the last run that read and replaced it, while its memory is not needed. */
interface Slot {
  current: ort.Tensor;
  spare?: ort.Tensor;
}

interface Loaded {
  readonly session: ort.InferenceSession;
  readonly outputs: readonly ProgramOutput[];
}

const state = new Map<string, Slot>();
const programs = new Map<number, Loaded>();

const toTensor = ({ data, shape }: HostTensor): ort.Tensor => {
  if (data instanceof Float32Array) return new ort.Tensor("float32", data, shape);
  if (data instanceof BigInt64Array) return new ort.Tensor("int64", data, shape);
  return new ort.Tensor("bool", data, shape);
};

/**
 * Wipes memory and gives it back at once: it held images or noise, and the collector would let buffers of many steps pile
 * up. The data must be ours alone.
 */
function release(data: ort.Tensor["data"]): void {
  const { buffer } = data as Float32Array;
  if (data instanceof BigInt64Array) data.fill(0n);
  else (data as Float32Array).fill(0);
  if (buffer instanceof ArrayBuffer && !buffer.detached) buffer.transfer(0);
}

const toHost = (tensor: ort.Tensor): HostTensor => ({ data: tensor.data as Float32Array, shape: tensor.dims });

async function load({ program, model, outputs, seldom }: Extract<Request, { kind: "load" }>): Promise<void> {
  const session = await ort.InferenceSession.create(model, {
    executionProviders: [settings.device],
    intraOpNumThreads: settings.threads,
    interOpNumThreads: 1,
    executionMode: "sequential",
    // Planned memory patterns take a quarter more memory here and are no faster.
    enableMemPattern: false,
    enableCpuMemArena: !seldom,
    graphOptimizationLevel: "all",
    logSeverityLevel: 3,
  });
  programs.set(program, { session, outputs });
}

/**
 * A buffer for `size` numbers of a state tensor: one that the last replacement of any tensor of its size left over, or a new
 * one. Replaced tensors are kept only until somebody needs their memory, so `undo` works right after a run, and all programs
 * share one set of spares.
 */
function spareOf(size: number): Float32Array {
  for (const slot of state.values())
    if (slot.spare?.data.length === size) {
      const { data } = slot.spare;
      delete slot.spare;
      return data as Float32Array;
    }
  return new Float32Array(size);
}

/** What the runtime is to write each output to; null where it makes a tensor itself. */
function fetchesOf({ session, outputs }: Loaded): Record<string, ort.Tensor | null> {
  const read = new Set(session.inputNames);
  const fetches: Record<string, ort.Tensor | null> = Object.fromEntries(outputs.map(({ name }) => [name, null]));
  if (settings.device !== "cpu") return fetches;
  for (const { name, made } of outputs) {
    const own = name.startsWith(statePrefix) ? name.slice(statePrefix.length) : undefined;
    const slot = own === undefined ? undefined : state.get(own);
    if (!slot) continue;
    const size = slot.current.data.length;
    // What the program does not read is overwritten where it lies.
    const data = read.has(own!) ? spareOf(size) : (slot.current.data as Float32Array);
    fetches[name] = new ort.Tensor("float32", data, made);
  }
  return fetches;
}

async function run({ program, feeds }: Extract<Request, { kind: "run" }>): Promise<Record<string, HostTensor>> {
  const loaded = programs.get(program)!;
  const inputs: Record<string, ort.Tensor> = {};
  for (const name of loaded.session.inputNames) {
    const fed = feeds[name];
    const slot = state.get(name);
    if (!fed && !slot) throw new Error(`input ${name} is neither fed nor state`);
    inputs[name] = fed ? toTensor(fed) : slot!.current;
  }
  const results = await loaded.session.run(inputs, fetchesOf(loaded) as ort.InferenceSession.OnnxValueMapType);
  const fetched: Record<string, HostTensor> = {};
  for (const { name, shape } of loaded.outputs) {
    const tensor = results[name]!;
    if (!name.startsWith(statePrefix)) {
      fetched[name] = toHost(tensor);
      continue;
    }
    const own = name.slice(statePrefix.length);
    const slot = state.get(own);
    const current = new ort.Tensor("float32", tensor.data as Float32Array, shape);
    const spare = slot && inputs[own] ? slot.current : slot?.spare;
    state.set(own, { current, ...(spare && { spare }) });
  }
  // Feeds were moved to this thread, so nobody else holds them.
  for (const { data } of Object.values(feeds)) release(data);
  return fetched;
}

/** Where numbers of a block come from and go to. What is fed for a part begins at its number `start`. */
interface Piece extends Part {
  readonly start: number;
}

async function runBlocks({
  program,
  names,
  parts,
  block,
  feeds,
}: Extract<Request, { kind: "runBlocks" }>): Promise<void> {
  // prettier-ignore
  const { session, outputs } = programs.get(program)!;
  const numbersOf = (pattern: string, name: string): { data: Float32Array; fed: boolean } => {
    const own = pattern.replace(anyName, name);
    const fed = feeds[own]?.data;
    const data = (fed ?? state.get(own)?.current.data) as Float32Array | undefined;
    if (!data) throw new Error(`input ${own} is neither fed nor state`);
    return { data, fed: fed !== undefined };
  };
  const floatsOf = (pattern: string, { name, from, to, start }: Piece): Float32Array => {
    const { data, fed } = numbersOf(pattern, name);
    const numbers = fed ? data.subarray(from - start, to - start) : data.subarray(from, to);
    if (numbers.length !== to - from) throw new Error(`tensors of ${name} differ in size`);
    return numbers;
  };
  const wholeOf = (name: string): Part => {
    const sizes = new Set(blocks.map((pattern) => numbersOf(pattern, name).data.length));
    if (sizes.size > 1) throw new Error(`tensors of ${name} differ in size`);
    return { name, from: 0, to: [...sizes][0]! };
  };
  const blocks = session.inputNames.filter((name) => name.includes(anyName));
  const fixed = Object.fromEntries(
    session.inputNames.filter((name) => !name.includes(anyName)).map((name) => [name, toTensor(feeds[name]!)]),
  );
  const shape = session.inputMetadata.find(({ name }) => name === blocks[0])!;
  const dims = shape.isTensor ? (shape.shape as number[]) : [block];
  const tensorOf = (data: Float32Array): ort.Tensor => new ort.Tensor("float32", data, dims);
  const gathered = Object.fromEntries(blocks.map((name) => [name, new Float32Array(block)]));
  const patterns = outputs.map(({ name }) => name);
  const made = Object.fromEntries(patterns.map((pattern) => [pattern, tensorOf(new Float32Array(block))]));
  const run = async (pieces: readonly Piece[]): Promise<void> => {
    const whole = pieces[0]!.to - pieces[0]!.from === block ? pieces[0]! : undefined;
    const inputs = Object.fromEntries(
      blocks.map((pattern) => {
        if (whole) return [pattern, tensorOf(floatsOf(pattern, whole))];
        let at = 0;
        for (const piece of pieces) {
          gathered[pattern]!.set(floatsOf(pattern, piece), at);
          at += piece.to - piece.from;
        }
        return [pattern, tensorOf(gathered[pattern]!)];
      }),
    );
    await session.run({ ...fixed, ...inputs }, made);
    for (const pattern of patterns) {
      const numbers = made[pattern]!.data as Float32Array;
      let at = 0;
      for (const piece of pieces) {
        const size = piece.to - piece.from;
        floatsOf(pattern.slice(statePrefix.length), piece).set(numbers.subarray(at, at + size));
        at += size;
      }
    }
  };
  // Whole blocks are read where they lie; what is left of each tensor is gathered with that of others.
  let rest: Piece[] = [];
  let pending = 0;
  for (const { name, from: start, to } of parts ?? names.map(wholeOf)) {
    let from = start;
    for (; from + block <= to; from += block) await run([{ name, from, to: from + block, start }]);
    if (from === to) continue;
    if (pending + to - from > block) {
      await run(rest);
      [rest, pending] = [[], 0];
    }
    rest.push({ name, from, to, start });
    pending += to - from;
  }
  if (rest.length > 0) await run(rest);
  for (const { data } of Object.values(feeds)) release(data);
}

function undo({ program }: Extract<Request, { kind: "undo" }>): void {
  const { session, outputs } = programs.get(program)!;
  for (const { name } of outputs) {
    const own = name.startsWith(statePrefix) ? name.slice(statePrefix.length) : undefined;
    const slot = own !== undefined && session.inputNames.includes(own) ? state.get(own) : undefined;
    if (slot?.spare) [slot.current, slot.spare] = [slot.spare, slot.current];
  }
}

const handlers: { [K in Request["kind"]]: (request: Extract<Request, { kind: K }>) => unknown } = {
  load,
  run,
  runBlocks,
  undo,
  unload: async ({ program }) => {
    await programs.get(program)?.session.release();
    programs.delete(program);
  },
  write: (request) => {
    for (const [name, tensor] of Object.entries(request.state)) {
      const slot = state.get(name);
      state.set(name, { current: toTensor(tensor) });
      if (slot) release(slot.current.data);
      if (slot?.spare) release(slot.spare.data);
    }
  },
  read: ({ names }) =>
    Object.fromEntries(
      names.map((name) => {
        const slot = state.get(name);
        if (!slot) throw new Error(`there is no state tensor ${name}`);
        return [name, { data: (slot.current.data as Float32Array).slice(), shape: slot.current.dims }];
      }),
    ),
  zero: ({ names }) => {
    for (const name of names) (state.get(name)?.current.data as Float32Array | undefined)?.fill(0);
  },
  close: async () => {
    for (const { session } of programs.values()) await session.release();
    programs.clear();
    state.clear();
  },
};

async function answer(request: Request): Promise<Reply> {
  try {
    const handle = handlers[request.kind] as (request: Request) => unknown;
    return { ok: true, tensors: ((await handle(request)) ?? {}) as Record<string, HostTensor> };
  } catch (error) {
    return { ok: false, message: error instanceof Error ? error.message : String(error) };
  }
}

// One request at a time, in the order they came.
let queue = Promise.resolve();
port.on("message", (request: Request) => {
  queue = queue.then(async () => {
    const reply = await answer(request);
    const buffers = reply.ok ? Object.values(reply.tensors).map((t) => t.data.buffer as ArrayBuffer) : [];
    port.postMessage(reply, buffers);
    if (request.kind === "close") port.close();
  });
});
