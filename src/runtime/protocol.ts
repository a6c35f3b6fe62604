import type { Shape } from "../graph/index.ts";
import type { Device, HostTensor, Part } from "./engine.ts";

/** An output of a program: `shape` is what whoever asked sees, `made` the shape in which the runtime makes it. */
export interface ProgramOutput {
  readonly name: string;
  readonly shape: Shape;
  readonly made: Shape;
}

/** What the engine asks its worker to do; every request is answered once, in order. */
export type Request =
  | {
      readonly kind: "load";
      readonly program: number;
      readonly model: Uint8Array;
      readonly outputs: readonly ProgramOutput[];
      readonly seldom: boolean;
    }
  | { readonly kind: "run"; readonly program: number; readonly feeds: Readonly<Record<string, HostTensor>> }
  | {
      readonly kind: "runBlocks";
      readonly program: number;
      readonly names: readonly string[];
      /** All of `names`, unless parts are given. */
      readonly parts: readonly Part[] | undefined;
      readonly block: number;
      readonly feeds: Readonly<Record<string, HostTensor>>;
    }
  | { readonly kind: "undo"; readonly program: number }
  | { readonly kind: "unload"; readonly program: number }
  | { readonly kind: "write"; readonly state: Readonly<Record<string, HostTensor>> }
  | { readonly kind: "read"; readonly names: readonly string[] }
  | { readonly kind: "zero"; readonly names: readonly string[] }
  | { readonly kind: "close" };

export interface WorkerSettings {
  readonly device: Device;
  readonly threads: number;
}

export type Reply =
  | { readonly ok: true; readonly tensors: Readonly<Record<string, HostTensor>> }
  | { readonly ok: false; readonly message: string };

/** Stands for a tensor's name in a graph that runs in blocks. */
export const anyName = "*";

/** Outputs with this prefix replace the state tensor named by the rest. */
export const statePrefix = "next/";
