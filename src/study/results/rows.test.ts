import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { parquetMetadataAsync, asyncBufferFromFile } from "hyparquet";
import { afterAll, beforeAll, expect, it } from "vitest";
import { readRows, writeRows, type ResultRow } from "./rows.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "leadglass-rows-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const text = fc.option(fc.string());
const number = fc.option(fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => x + 0));
const whole = fc.option(fc.integer({ min: 0, max: 2 ** 31 - 1 }));
const row: fc.Arbitrary<ResultRow> = fc.record({
  ...{ study: fc.string(), arm: fc.string(), seed: whole, cohort: fc.string(), split: text, target: text, group: text },
  ...{ metric: fc.string(), value: number, low: number, high: number, images: whole, patients: whole },
  ...{ epsilon: number, delta: number, attack: text, chance: number, ledgerEntry: text, file: fc.string() },
});

it("rows_comeBackAsTheyWere_nullsAsNulls", async () => {
  const path = join(folder, "results.parquet");
  await fc.assert(
    fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 20 }), async (rows) => {
      await writeRows(path, rows);
      expect(await readRows(path)).toEqual(rows);
    }),
    { numRuns: 30 },
  );
});

// DuckDB, pandas and R read columns by these names: they are a contract.
it("columns_haveTheirNames_andTypes", async () => {
  const path = join(folder, "names.parquet");
  await writeRows(path, fc.sample(row, { numRuns: 3, seed: 1 }));
  const { schema } = await parquetMetadataAsync(await asyncBufferFromFile(path));
  expect(schema.slice(1).map(({ name, type }) => `${name} ${type}`)).toEqual([
    ...["study BYTE_ARRAY", "arm BYTE_ARRAY", "seed INT32", "cohort BYTE_ARRAY", "split BYTE_ARRAY"],
    ...["target BYTE_ARRAY", "group BYTE_ARRAY", "metric BYTE_ARRAY", "value DOUBLE", "low DOUBLE", "high DOUBLE"],
    ...["images INT32", "patients INT32", "epsilon DOUBLE", "delta DOUBLE", "attack BYTE_ARRAY", "chance DOUBLE"],
    ...["ledgerEntry BYTE_ARRAY", "file BYTE_ARRAY"],
  ]);
});

it("whatIsNoTable_isRefused", async () => {
  const path = join(folder, "none.parquet");
  await writeFile(path, "PAR1 is not enough");
  await expect(readRows(path)).rejects.toThrow(expect.objectContaining({ code: "LG-STUDY-001" }));
  await expect(readRows(join(folder, "absent.parquet"))).rejects.toThrow(expect.objectContaining({ code: "LG-STUDY-001" })); // prettier-ignore
});
