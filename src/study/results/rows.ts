/** The results of a study as one tidy table: a row a number, with where it comes from. */
import { asyncBufferFromFile, parquetReadObjects } from "hyparquet";
import { parquetWriteBuffer } from "hyparquet-writer";
import { z } from "zod";
import { LeadglassError } from "../../errors.ts";
import { writeAtomically } from "../../training/checkpoint.ts";

const text = z.string().nullable();
const number = z.number().nullable();

const rowSchema = z.object({
  study: z.string(),
  arm: z.string(),
  seed: number,
  cohort: z.string(),
  split: text,
  target: text,
  /** "sex=F"; null for everybody. */
  group: text,
  metric: z.string(),
  value: number,
  /** 95 % interval. */
  low: number,
  high: number,
  images: number,
  patients: number,
  /** Proven; null where nothing is. */
  epsilon: number,
  delta: number,
  /** The attack that a row of the metric "attack success" is of. */
  attack: text,
  chance: number,
  /** Hash of the ledger's entry that answers for the number. */
  ledgerEntry: text,
  /** What it was computed from, relative to the study's folder. */
  file: z.string(),
});

export type ResultRow = Readonly<z.infer<typeof rowSchema>>;

const columns = {
  ...{ study: "STRING", arm: "STRING", seed: "INT32", cohort: "STRING", split: "STRING", target: "STRING" },
  ...{ group: "STRING", metric: "STRING", value: "DOUBLE", low: "DOUBLE", high: "DOUBLE", images: "INT32" },
  ...{ patients: "INT32", epsilon: "DOUBLE", delta: "DOUBLE", attack: "STRING", chance: "DOUBLE" },
  ...{ ledgerEntry: "STRING", file: "STRING" },
} as const satisfies Record<keyof ResultRow, "STRING" | "INT32" | "DOUBLE">;

/** Writes the table as Parquet, in one move. */
export async function writeRows(path: string, rows: readonly ResultRow[]): Promise<void> {
  const columnData = Object.entries(columns).map(([name, type]) => ({
    ...{ name, type, nullable: true },
    data: rows.map((row) => row[name as keyof ResultRow]),
  }));
  await writeAtomically(path, new Uint8Array(parquetWriteBuffer({ columnData })));
}

/** Reads a table of results. Throws LG-STUDY-001 for a file that is none. */
export async function readRows(path: string): Promise<ResultRow[]> {
  try {
    const rows = await parquetReadObjects({ file: await asyncBufferFromFile(path) });
    return z.array(rowSchema).parse(rows);
  } catch (cause) {
    throw new LeadglassError("LG-STUDY-001", `${path}: this is no table of a study's results`, {
      hint: "Give the folder that study run wrote.",
      cause,
    });
  }
}
