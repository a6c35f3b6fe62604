import { writeFile } from "node:fs/promises";
import { parquetWriteBuffer, type ColumnSource } from "hyparquet-writer";
import { LeadglassError } from "../../errors.ts";
import { predictRun, type Prediction } from "../../study/evaluate-run.ts";
import { command } from "../command.ts";
import { count } from "../output.ts";
import { csvText } from "../csv.ts";

export const predict = command({
  name: "predict",
  about:
    "Writes a finished run's answer for every image: file_name, patient_id, split, and for each target its probability and 0 or 1 at the threshold that was chosen on validation.",
  options: {
    run: { kind: "text", value: "RUN", about: "the run's folder", required: true },
    cohort: { kind: "text", value: "DIR", about: "the cohort's folder", required: true },
    out: { kind: "text", value: "FILE", about: "where to write: .csv or .parquet; it must not exist", required: true },
    split: { kind: "text", value: "NAME", about: "the split, or all", initial: "test" },
  },
  examples: [
    "leadglass predict --run runs/private --cohort masses --out predictions.csv",
    "leadglass predict --run runs/private --cohort masses --split all --out predictions.parquet",
  ],
  async run({ run, cohort, split, out }, terminal) {
    const format = /\.(csv|parquet)$/i.exec(out)?.[1]?.toLowerCase();
    if (format === undefined)
      throw new LeadglassError("LG-USAGE-001", "--out: a name that ends in .csv or .parquet was expected", {
        hint: "For example --out predictions.csv.",
      });
    using progress = terminal.progress("predicting", "images");
    const prediction = await predictRun({ run, cohort, split, onProgress: progress.update });
    progress[Symbol.dispose]();
    const columns = columnsOf(prediction);
    await writeNew(
      out,
      format === "csv" ? csvText(columns) : new Uint8Array(parquetWriteBuffer({ columnData: columns })),
    );
    const rows = prediction.images.length;
    return { json: { rows, out, split }, text: `${count(rows)} rows in ${out}` };
  },
});

type Column = ColumnSource & { readonly data: readonly (string | number)[] };

/** One row an image: what it is, and for each target a probability and the prediction at the run's threshold. */
function columnsOf({ run, cohort, images, probabilities }: Prediction): Column[] {
  const records = images.map((i) => cohort.records[i]!);
  const { targets } = run;
  return [
    { name: "file_name", type: "STRING", data: records.map((r) => r.file) },
    { name: "patient_id", type: "STRING", data: records.map((r) => r.patientId) },
    { name: "split", type: "STRING", data: records.map((r) => r.split) },
    ...targets.flatMap((target, k): Column[] => {
      const scores = images.map((_, i) => probabilities[i * targets.length + k]!);
      const threshold = run.result.thresholds[k]!;
      return [
        { name: `${target}_probability`, type: "DOUBLE", data: scores },
        { name: `${target}_predicted`, type: "INT32", data: scores.map((score) => (score >= threshold ? 1 : 0)) },
      ];
    }),
  ];
}

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
