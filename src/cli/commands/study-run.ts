import { relative } from "node:path";
import { readStudyFile } from "../../study/file/read.ts";
import type { Study } from "../../study/file/schema.ts";
import { meanOverSeeds, type Decision, type ResultRow } from "../../study/results/index.ts";
import { planStudy } from "../../study/runner/plan.ts";
import { writeReport } from "../../study/report/write-report.ts";
import { runStudy, type StudyRunReport } from "../../study/runner/run.ts";
import { taskKey } from "../../study/runner/task.ts";
import { command } from "../command.ts";
import { count, duration, interval, table } from "../output.ts";

const example = [
  "cohorts: { chest: { folder: ../data/chest } }   # or { phantom: chest, patients: 300 }",
  "targets: [pneumonia]",
  "groups: [sex, 'age:18,40,60,75']",
  "seeds: [1, 2]",
  "arms:",
  "  - { kind: open }",
  "  - { kind: private, epsilon: [8, 1], delta: 1e-4 }",
  "  - { kind: encodings, attacks: [known-pairs, matching] }",
  "  - { kind: synthetic, generator: { epsilon: 8 } }",
];

const notes = `A study file, for example:\n${example.map((line) => `  ${line}`).join("\n")}`;

const preset = {
  kind: "text",
  value: "NAME",
  about: "one of the file's presets, whose settings take the place of those above",
} as const;

export const studyRun = command({
  name: "study run",
  about:
    "Runs every arm of a study file: trains, encodes, draws, evaluates by group, attacks, and writes one table of results, a record and a report. Run again, it goes on where it stopped, does again what a changed setting concerns, and nothing else.",
  positionals: ["FILE"],
  options: {
    out: { kind: "text", value: "DIR", about: "the study's folder", required: true },
    preset,
    resume: { kind: "flag", about: "go on with a study that was interrupted; it does so anyway" },
  },
  notes: `${notes}\n\nSeeds make the private runs repeatable, so they are marked insecureSeed: for comparing, not for release.`,
  examples: [
    "leadglass study run studies/compare.yaml --out compare",
    "leadglass study run studies/compare.yaml --preset small --out compare",
  ],
  async run({ out, preset: chosen }, terminal, [path]) {
    const { study, text } = await readStudyFile(path!, chosen);
    using bar = terminal.progress("study", "s of work", { leave: true });
    const report = await runStudy(study, {
      ...{ out, text, signal: terminal.signal, onNote: terminal.note },
      onProgress: (done, total, doing) => bar.update(Math.round(done), Math.max(1, Math.round(total)), doing),
    });
    bar[Symbol.dispose]();
    const { report: page } = await writeReport(out);
    const { record, rows: _rows, ...rest } = report;
    const { arms, attacks, costs, decision } = record;
    return {
      json: { ...rest, report: page, arms, attacks, costs, ...(decision ? { decision } : {}) },
      text: textOf(report, page),
      exitCode: arms.some(({ state }) => state !== "done") ? 3 : 0,
    };
  },
});

export const studyCheck = command({
  name: "study check",
  about: "Whether a study file is valid, and what it would do.",
  positionals: ["FILE"],
  options: { preset },
  notes,
  examples: ["leadglass study check studies/compare.yaml"],
  async run({ preset: chosen }, _terminal, [path]) {
    const { study } = await readStudyFile(path!, chosen);
    const { tasks } = await planStudy(study);
    const work: Record<string, number> = {};
    for (const { kind } of new Map(tasks.map((task) => [taskKey(task), task])).values()) work[kind] = (work[kind] ?? 0) + 1; // prettier-ignore
    const arms = study.arms.map(({ name, kind, cohort, seeds, epsilon }) => ({ name, kind, cohort, seeds, epsilon }));
    return {
      json: {
        valid: true,
        arms,
        cohorts: Object.keys(study.cohorts),
        targets: study.targets,
        seeds: study.seeds,
        work,
      },
      text: checkText(study, work),
    };
  },
});

function checkText({ arms, targets }: Study, work: Readonly<Record<string, number>>): string {
  return [
    table([
      ["arm", "kind", "cohort", "epsilon", "seeds"],
      ...arms.map(({ name, kind, cohort, epsilon, seeds }) => [name, kind, cohort, epsilon === null ? "" : String(epsilon), seeds.join(", ")]), // prettier-ignore
    ]),
    "",
    `Targets: ${targets.join(", ")}. To be done: ${Object.entries(work).map(([kind, n]) => `${n} ${kind}`).join(", ")}.`, // prettier-ignore
  ].join("\n");
}

export function textOf({ record, rows, counts, results, seconds }: StudyRunReport, page: string): string {
  const of = (arm: string, target: string, metric: string): readonly ResultRow[] =>
    rows.filter((r) => r.arm === arm && r.target === target && r.metric === metric && r.group === null);
  const cell = (arm: string, target: string, metric: string): string => {
    const mean = meanOverSeeds(of(arm, target, metric));
    return mean ? interval(mean) : "";
  };
  return [
    ...record.targets.flatMap((target) => [
      `${target}, mean over seeds within the ends of their 95 % intervals`,
      ...(record.shortcuts[target] ? [`shortcuts: ${record.shortcuts[target].verdict}`] : []),
      table([
        ["arm", "epsilon", "AUROC", "AUPRC", "sensitivity", "specificity"],
        ...record.arms.map(({ name, epsilon, state, error }) =>
          state === "done"
            ? [name, epsilon === null ? "none proven" : String(Number(epsilon.toPrecision(4))), ...["auroc", "auprc", "sensitivity", "specificity"].map((m) => cell(name, target, m))] // prettier-ignore
            : [name, state, error ? `${error.code} ${error.message}` : ""],
        ),
      ]),
      "",
    ]),
    ...(record.attacks.length > 0
      ? [
          table([
            ["attack", "on", "success [95 % interval]", "chance", ""],
            ...record.attacks.map(({ attack, arm, success, chance, valid }) => [attack, arm, interval(success), chance.toFixed(3), (success.low ?? success.value) > chance ? "succeeds" : valid ? "no success beyond chance" : "says nothing: it does not break its control"]), // prettier-ignore
          ]),
          "",
        ]
      : []),
    ...(record.decision ? [decisionText(record.decision), ""] : []),
    `${count(counts.done)} tasks done, ${count(counts.reused)} taken as they were, ${count(counts.failed)} failed, ${count(counts.waiting)} waiting for those; ${duration(seconds)}.`,
    `${count(rows.length)} numbers: ${here(results)}`,
    `report: ${here(page)}`,
  ].join("\n");
}

/** From the working folder, where that is shorter. */
const here = (path: string): string => {
  const near = relative(process.cwd(), path);
  return near.startsWith("..") ? path : near;
};

const decisionText = ({ constraints, arms }: Decision): string =>
  [
    `Which way? You: ${constraints.join("; ")}.`,
    table([
      ["arm", "qualifies", "because"],
      ...arms.flatMap(
        ({ arm, qualifies, reasons }) =>
        reasons.map(({ constraint, meets, evidence }, i) => [i === 0 ? arm : "", i === 0 ? qualifies : "", `${constraint}: ${meets} (${evidence})`]), // prettier-ignore
      ),
    ]),
  ].join("\n");
