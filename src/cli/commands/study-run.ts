import { readSweepFile } from "../../study/sweep/file.ts";
import { armName, runSweep, type SweepReport } from "../../study/sweep/run.ts";
import { verdictLine } from "../../study/shortcuts/record.ts";
import { command } from "../command.ts";
import { count, duration, interval, table } from "../output.ts";
import type { Progress } from "../progress.ts";

const example = [
  "cohort: ../data/chest",
  "targets: [pneumonia]",
  "epsilon: [1, 3, 8, inf]",
  "delta: 1e-4",
  "seeds: [1, 2, 3]",
  "groups: [sex, 'age:18,40,60,75']",
];

const notes = `A study file, for example:\n${example.map((line) => `  ${line}`).join("\n")}`;

export const studyRun = command({
  name: "study run",
  about:
    "Trains a model for every epsilon and seed of a study file, evaluates each by group, and writes the results as Parquet and JSON with charts. Run again, it goes on where it stopped and skips what is done.",
  positionals: ["FILE"],
  options: {
    out: { kind: "text", value: "DIR", about: "where runs and results go", required: true },
    resume: { kind: "flag", about: "go on with a study that was interrupted; it does so anyway" },
  },
  notes: `${notes}\n\nSeeds make the private runs repeatable, so they are marked insecureSeed: for comparing, not for release.`,
  examples: ["leadglass study run sweep.yaml --out sweep"],
  async run({ out }, terminal, [path]) {
    const file = await readSweepFile(path!);
    using bars = new DisposableStack();
    let [stage, bar] = ["", undefined as Progress | undefined];
    const report = await runSweep(file, {
      out,
      signal: terminal.signal,
      onNote: (line) => {
        bar?.[Symbol.dispose]();
        terminal.note(line);
      },
      onProgress: (name, done, total) => {
        if (name !== stage) {
          bar?.[Symbol.dispose]();
          // Training saves a checkpoint when it is interrupted; reading simply ends.
          bar = bars.use(
            terminal.progress(name, name.endsWith("training") ? "steps" : "images", {
              leave: name.endsWith("training"),
            }),
          );
          stage = name;
        }
        bar!.update(done, total);
      },
    });
    return { json: report, text: textOf(report), exitCode: report.failed.length > 0 ? 3 : 0 };
  },
});

export const studyCheck = command({
  name: "study check",
  about: "Whether a study file is valid, and what it would train.",
  positionals: ["FILE"],
  options: {},
  notes,
  examples: ["leadglass study check sweep.yaml"],
  async run(_options, _terminal, [path]) {
    const file = await readSweepFile(path!);
    const arms = file.epsilon.map(armName);
    return {
      json: { valid: true, arms, seeds: file.seeds, trainings: arms.length * file.seeds.length, cohort: file.cohort },
      text: `${count(arms.length * file.seeds.length)} trainings: epsilon ${arms.join(", ")}, seeds ${file.seeds.join(", ")}, on ${file.cohort}`,
    };
  },
});

/** Mean over seeds, with the least and the largest where there are several. */
function overSeeds(values: readonly (number | null)[]): string {
  const known = values.filter((v) => v !== null);
  if (known.length === 0) return "";
  const mean = (known.reduce((a, b) => a + b, 0) / known.length).toFixed(3);
  return known.length === 1 ? mean : `${mean} (${Math.min(...known).toFixed(3)} to ${Math.max(...known).toFixed(3)})`;
}

function textOf({ rows, failed, results, seconds, costs, charts, shortcuts }: SweepReport): string {
  const everybody = rows.filter(({ groupColumn }) => groupColumn === null);
  const arms = [...new Set(everybody.map(({ arm }) => arm))];
  const targets = [...new Set(everybody.map(({ target }) => target))];
  const shown = ["auroc", "auprc", "sensitivity", "specificity", "brier", "ece"];
  return [
    ...targets.flatMap((target) => [
      target,
      verdictLine(shortcuts[target]),
      table([
        ["epsilon", ...shown],
        ...arms.map((arm) => [
          arm,
          ...shown.map((metric) =>
            overSeeds(
              everybody.filter((r) => r.arm === arm && r.target === target && r.metric === metric).map((r) => r.value),
            ),
          ),
        ]),
      ]),
      "",
    ]),
    ...(costs.length > 0
      ? [
          table([
            ["what privacy costs", "epsilon", "seed", "AUROC, difference", ""],
            ...costs.map(({ target, arm, seed, cost }) => [
              target,
              arm,
              String(seed),
              interval(cost.overall.difference),
              cost.sentence,
            ]),
          ]),
          "",
        ]
      : []),
    ...failed.map(({ arm, seed, code, message }) => `epsilon ${arm}, seed ${seed} failed: ${code} ${message}`),
    `${duration(seconds)}. ${count(rows.length)} numbers with intervals and groups in ${results}; ${charts.length} charts beside it`,
  ].join("\n");
}
