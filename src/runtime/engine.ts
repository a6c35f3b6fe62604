import type { Graph, Shape } from "../graph/index.ts";

export type Device = "cpu" | "webgpu" | "cuda";

/** A tensor in host memory. */
export interface HostTensor {
  readonly data: Float32Array | BigInt64Array | Uint8Array;
  readonly shape: Shape;
}

export type Feeds = Readonly<Record<string, HostTensor>>;

export interface EngineOptions {
  readonly device?: Device;
  /** Threads of the CPU provider; all cores by default. */
  readonly threads?: number;
}

/**
 * Runs graphs on a device and keeps named state there between runs. An input whose name is a state tensor is read from
 * it; an output called `next/X` replaces the state tensor X. Everything else is fed and fetched.
 */
export interface Engine extends AsyncDisposable {
  readonly device: Device;
  readonly threads: number;
  /** Compiles a graph. A program that runs seldom should not keep its working memory between runs: `seldom`. */
  readonly load: (graph: Graph, options?: { readonly seldom?: boolean }) => Promise<Program>;
  /**
   * Compiles a graph that computes each number from the numbers in its place alone, to be run over the state tensors of many
   * names, block by block and in place: nothing as large as a tensor is written beside it. Its inputs with a `*` in their names
   * are blocks of one size: `sum/*` is read from `sum/NAME` (state, or fed), and the output `next/*` replaces NAME.
   */
  readonly loadBlockwise: (graph: Graph, names: readonly string[]) => Promise<BlockwiseProgram>;
  /** Creates or replaces state tensors; the data is moved, not copied: the caller's arrays become empty. */
  readonly write: (state: Feeds) => Promise<void>;
  /** Copies of state tensors. */
  readonly read: (names: readonly string[]) => Promise<Record<string, HostTensor>>;
  /** Fills state tensors with zeros. */
  readonly zero: (names: readonly string[]) => Promise<void>;
}

/** The numbers `from` to `to` of the tensors of one name. */
export interface Part {
  readonly name: string;
  readonly from: number;
  readonly to: number;
}

/** A compiled graph of blocks; see {@link Engine.loadBlockwise}. What a run replaced cannot be put back. */
export interface BlockwiseProgram extends AsyncDisposable {
  /**
   * Runs once over everything, or over the given parts, each of another name: what is fed then holds the numbers of its part
   * alone. Throws LG-RUNTIME-002 where tensors of one name differ in size, or one is missing.
   */
  readonly run: (feeds: Feeds, parts?: readonly Part[]) => Promise<void>;
}

/** A compiled graph. */
export interface Program extends AsyncDisposable {
  /**
   * Runs once and returns the outputs that are not state. Fed arrays are moved to the engine and become empty.
   * Throws LG-RUNTIME-002 where the runtime refuses the graph or a feed.
   */
  readonly run: (feeds: Feeds) => Promise<Record<string, HostTensor>>;
  /** Puts the state that the last run read and replaced back to what it was before that run; state it only wrote is lost. */
  readonly undo: () => Promise<void>;
}
