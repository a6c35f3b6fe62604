import { createHash } from "node:crypto";
import { glob, open, readFile, rename, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { LeadglassError } from "../errors.ts";
import { decodeSafetensors, encodeSafetensors } from "../runtime/safetensors.ts";
import type { HostTensor } from "../runtime/index.ts";

/** Everything a run needs to go on as if it had never stopped. */
export interface Checkpoint {
  /** Steps done; the next step is this one. */
  readonly step: number;
  /** Units a tile holds; kept, so that sums are rounded the same way after a resume. */
  readonly tileUnits: number;
  /** The settings of the run, to be compared with those it is resumed with. */
  readonly settings: string;
  /** The entry of the ledger that reserved what the run spends; a checkpoint cannot be resumed under another. */
  readonly anchor?: { readonly index: number; readonly hash: string };
  readonly counters: Readonly<Record<string, number>>;
  /** The clipping norm of the next step, where the clipping is adaptive. */
  readonly clipNorm?: number;
  /** Parameters, optimiser state and averages. */
  readonly state: Readonly<Record<string, HostTensor>>;
}

/** Writes a file so that a crash leaves the old one or the new one, never half of either. */
export async function writeAtomically(path: string, bytes: Uint8Array | string): Promise<void> {
  const temporary = `${path}.tmp-${process.pid}`;
  try {
    const file = await open(temporary, "w");
    try {
      await file.writeFile(bytes);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Writes a checkpoint with a digest of everything in it. */
export async function writeCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const { state, ...rest } = checkpoint;
  const tensors = Object.fromEntries(
    Object.entries(state).map(([name, { data, shape }]) => [
      name,
      { dtype: "float32" as const, shape, data: data as Float32Array },
    ]),
  );
  const text = JSON.stringify(rest);
  await writeAtomically(path, encodeSafetensors(tensors, { checkpoint: text, digest: digestOf(text, state) }));
}

/** Removes a checkpoint that is done with, and what processes that were killed while they wrote it left beside it. */
export async function removeCheckpoint(path: string): Promise<void> {
  await rm(path, { force: true });
  for await (const left of glob(`${basename(path)}.tmp-*`, { cwd: dirname(path) }))
    await rm(join(dirname(path), left), { force: true });
}

/** SHA-256 over the numbers and tensors of a checkpoint, in the order of their names. */
function digestOf(text: string, state: Checkpoint["state"]): string {
  const hash = createHash("sha256").update(text);
  for (const name of Object.keys(state).sort()) {
    const { data, shape } = state[name]!;
    hash.update(`${name} ${shape.join()}`).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  }
  return hash.digest("hex");
}

/**
 * Reads a checkpoint back. Throws LG-RUNTIME-003 for a file that is not one, and LG-PRIVACY-005 for one whose numbers do
 * not agree with its digest: whoever edits a checkpoint to have taken fewer steps would spend its budget twice.
 */
export async function readCheckpoint(path: string): Promise<Checkpoint> {
  const { tensors, metadata } = decodeSafetensors(await readFile(path));
  const text = metadata["checkpoint"];
  if (text === undefined)
    throw new LeadglassError("LG-RUNTIME-003", `${path}: these are weights, not a checkpoint of a run`, {
      hint: "Resume with the run's own checkpoint.",
    });
  const state = Object.fromEntries(
    Object.entries(tensors).map(([name, { data, shape }]) => [name, { data: data as Float32Array, shape }]),
  );
  if (metadata["digest"] !== digestOf(text, state))
    throw new LeadglassError("LG-PRIVACY-005", `${path}: this checkpoint has been changed since it was written`, {
      hint: "Restore the run folder from a backup, or start a new run.",
    });
  return { ...(JSON.parse(text) as Omit<Checkpoint, "state">), state };
}
