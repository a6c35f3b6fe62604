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
  /** Creates or replaces state tensors; the data is moved, not copied: the caller's arrays become empty. */
  readonly write: (state: Feeds) => Promise<void>;
  /** Copies of state tensors. */
  readonly read: (names: readonly string[]) => Promise<Record<string, HostTensor>>;
  /** Fills state tensors with zeros. */
  readonly zero: (names: readonly string[]) => Promise<void>;
}

/** A compiled graph. */
export interface Program extends AsyncDisposable {
  /**
   * Runs once and returns the outputs that are not state. Fed arrays are moved to the engine and become empty.
   * Throws LG-RUNTIME-002 where the runtime refuses the graph or a feed.
   */
  readonly run: (feeds: Feeds) => Promise<Record<string, HostTensor>>;
  /** Puts the state that the last run replaced back to what it was before that run. */
  readonly undo: () => Promise<void>;
}
