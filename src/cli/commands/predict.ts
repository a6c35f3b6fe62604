import { writeFile } from "node:fs/promises";
import { parquetWriteBuffer, type ColumnSource } from "hyparquet-writer";
import { LeadglassError } from "../../errors.ts";
import { predictRun, type Prediction } from "../../study/evaluate-run.ts";
import type { predictRelease } from "../../study/release-run.ts";
import { command } from "../command.ts";
import { count } from "../output.ts";
import { csvText } from "../csv.ts";

export const predict = command({
  name: "predict",
  about:
    "Writes a finished run's answer for every image: file_name, patient_id, split, and for each target its probability and 0 or 1 at the threshold that was chosen on validation.",
  options: {
    run: { kind: "text", value: "RUN", about: "the run's folder", required: true },
    cohort: { kind: "text", value: "DIR", about: "the cohort's folder" },
    encodings: { kind: "text", value: "RELEASE", about: "in place of a cohort, for a run on releases" },
    out: { kind: "text", value: "FILE", about: "where to write: .csv or .parquet; it must not exist", required: true },
    split: { kind: "text", value: "NAME", about: "the split, or all", initial: "test" },
  },
  examples: [
    "leadglass predict --run runs/private --cohort masses --out predictions.csv",
    "leadglass predict --run runs/private --cohort masses --split all --out predictions.parquet",
  ],
  async run({ run, cohort, encodings, split, out }, terminal) {
    const format = /\.(csv|parquet)$/i.exec(out)?.[1]?.toLowerCase();
    if (format === undefined)
      throw new LeadglassError("LG-USAGE-001", "--out: a name that ends in .csv or .parquet was expected", {
        hint: "For example --out predictions.csv.",
      });
    using progress = terminal.progress("predicting", "images");
    if (cohort === undefined && encodings === undefined)
      throw new LeadglassError("LG-USAGE-001", "--cohort or --encodings is missing");
    const columns =
      encodings === undefined
        ? columnsOf(await predictRun({ run, cohort: cohort!, split, onProgress: progress.update }))
        : await releaseColumns({ run, release: encodings, split, onProgress: progress.update });
    progress[Symbol.dispose]();
    await writeNew(
      out,
      format === "csv" ? csvText(columns) : new Uint8Array(parquetWriteBuffer({ columnData: columns })),
    );
    const rows = columns[0]!.data.length;
    return { json: { rows, out, split }, text: `${count(rows)} rows in ${out}` };
  },
});

type Column = ColumnSource & { readonly data: readonly (string | number)[] };

/** One row an image: what it is, and for each target a probability and the prediction at the run's threshold. */
function columnsOf({ run, cohort, images, probabilities }: Prediction): Column[] {
  const records = images.map((i) => cohort.records[i]!);
  return [
    { name: "file_name", type: "STRING", data: records.map((r) => r.file) },
    { name: "patient_id", type: "STRING", data: records.map((r) => r.patientId) },
    { name: "split", type: "STRING", data: records.map((r) => r.split) },
    ...answers(run.targets, run.result.thresholds, probabilities),
  ];
}

/** One row an encoding: its place in the release, and the answers. */
async function releaseColumns(request: Parameters<typeof predictRelease>[0]): Promise<Column[]> {
  const { predictRelease: predictOn } = await import("../../study/release-run.ts");
  const { targets, thresholds, release, rows, splits, probabilities } = await predictOn(request);
  return [
    { name: "release", type: "STRING", data: rows.map(() => release) },
    { name: "row", type: "INT32", data: [...rows] },
    { name: "split", type: "STRING", data: [...splits] },
    ...answers(targets, thresholds, probabilities),
  ];
}

/** For each target a probability and the prediction at the run's threshold; probabilities are [rows, targets]. */
const answers = (
  targets: readonly string[],
  thresholds: readonly number[],
  probabilities: Float32Array,
): readonly Column[] =>
  targets.flatMap((target, k): Column[] => {
    const scores = [...probabilities].filter((_, i) => i % targets.length === k);
    return [
      { name: `${target}_probability`, type: "DOUBLE", data: scores },
      { name: `${target}_predicted`, type: "INT32", data: scores.map((score) => (score >= thresholds[k]! ? 1 : 0)) },
    ];
  });

/** Throws LG-USAGE-003 rather than overwrite. */
async function writeNew(path: string, content: string | Uint8Array): Promise<void> {
  try {
    await writeFile(path, content, { flag: "wx" });
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== "EEXIST") throw cause;
    throw new LeadglassError("LG-USAGE-003", `${path}: there is something already`, {
      hint: "Give another --out, or remove the file.",
      cause,
    });
  }
}
