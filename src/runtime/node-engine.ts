import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { LeadglassError } from "../errors.ts";
import { encodeModel, sizeOf, type Graph, type Value } from "../graph/index.ts";
import type { Device, Engine, EngineOptions, Feeds, HostTensor } from "./engine.ts";
import { anyName, statePrefix, type Reply, type Request, type WorkerSettings } from "./protocol.ts";

const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";

const deviceHints: Readonly<Record<Device, string>> = {
  cpu: "The CPU provider is always there; reinstall onnxruntime-node.",
  webgpu: "WebGPU needs a GPU and its driver (Vulkan on Linux, D3D12 on Windows, Metal on macOS); use --device cpu.",
  cuda: "CUDA is not installed with Leadglass: run onnxruntime-node's install script with a CUDA 12 or 13 driver present, or use --device cpu.",
};

/**
 * Starts a worker thread with an ONNX Runtime session pool.
 * Throws LG-RUNTIME-001 where the device is not there.
 */
export async function startEngine({
  device = "cpu",
  threads = availableParallelism(),
}: EngineOptions = {}): Promise<Engine> {
  const settings: WorkerSettings = { device, threads };
  const worker = new Worker(new URL(`./node-worker.${extension}`, import.meta.url), { workerData: settings });
  const waiting: { resolve: (reply: Reply) => void; reject: (error: unknown) => void }[] = [];
  let failure: Error | undefined;
  worker.on("message", (reply: Reply) => waiting.shift()?.resolve(reply));
  const fail = (error: Error): void => {
    failure ??= error;
    for (const { reject } of waiting.splice(0)) reject(error);
  };
  worker.on("error", fail);
  worker.on("exit", () => fail(new LeadglassError("LG-RUNTIME-002", "the engine's worker thread has ended")));

  const ask = async (request: Request, transfer: readonly ArrayBuffer[] = []): Promise<Record<string, HostTensor>> => {
    if (failure) throw failure;
    const reply = await new Promise<Reply>((resolve, reject) => {
      waiting.push({ resolve, reject });
      worker.postMessage(request, [...transfer]);
    });
    if (!reply.ok) throw new LeadglassError("LG-RUNTIME-002", reply.message);
    return reply.tensors;
  };
  const buffersOf = (tensors: Feeds): ArrayBuffer[] => [
    ...new Set(Object.values(tensors).map((t) => t.data.buffer as ArrayBuffer)),
  ];

  let programs = 0;
  const compile = async (graph: Graph, seldom: boolean): Promise<number> => {
    const program = programs++;
    const made = { ...graph, outputs: graph.outputs.map(asMade) };
    const model = encodeModel(made);
    const outputs = graph.outputs.map(({ name, value: { shape } }, i) => ({ name, shape, made: made.outputs[i]!.value.shape })); // prettier-ignore
    await ask({ kind: "load", program, model, outputs, seldom }, [model.buffer as ArrayBuffer]).catch(
      (error: unknown) => {
        if (device === "cpu" || !(error instanceof LeadglassError)) throw error;
        throw new LeadglassError(
          "LG-RUNTIME-001",
          `device ${device} cannot run the model: ${firstLine(error.message)}`,
          {
            hint: deviceHints[device],
            cause: error,
          },
        );
      },
    );
    return program;
  };
  const unload = (program: number) => async (): Promise<void> => void (await ask({ kind: "unload", program }));
  const load: Engine["load"] = async (graph, { seldom = false } = {}) => {
    const program = await compile(graph, seldom);
    return {
      run: (feeds) => ask({ kind: "run", program, feeds }, buffersOf(feeds)),
      undo: async () => void (await ask({ kind: "undo", program })),
      [Symbol.asyncDispose]: unload(program),
    };
  };
  const loadBlockwise: Engine["loadBlockwise"] = async (graph, names) => {
    const block = sizeOf(graph.inputs.find(({ name }) => name.includes(anyName))!.shape);
    const program = await compile(graph, false);
    return {
      run: async (feeds, parts) =>
        void (await ask({ kind: "runBlocks", program, names, parts, block, feeds }, buffersOf(feeds))),
      [Symbol.asyncDispose]: unload(program),
    };
  };
  return {
    device,
    threads,
    load,
    loadBlockwise,
    write: async (state) => void (await ask({ kind: "write", state }, buffersOf(state))),
    read: (names) => ask({ kind: "read", names }),
    zero: async (names) => void (await ask({ kind: "zero", names })),
    [Symbol.asyncDispose]: async () => {
      if (failure) return;
      await ask({ kind: "close" });
      await worker.terminate();
    },
  };
}

/** State as it is made, before it is given another shape: a reshaped output would be copied by the runtime. */
function asMade({ name, value }: Graph["outputs"][number]): Graph["outputs"][number] {
  let at: Value = value;
  while (name.startsWith(statePrefix) && at.kind === "result" && at.node.op === "Reshape") at = at.node.inputs[0]!;
  return { name, value: at.kind === "result" ? at : value };
}

const firstLine = (message: string): string => message.split("\n")[0]!.slice(0, 300);

/** The state tensors that a graph replaces. */
export const replacedState = (graph: Graph): string[] =>
  graph.outputs.flatMap(({ name }) => (name.startsWith(statePrefix) ? [name.slice(statePrefix.length)] : []));
