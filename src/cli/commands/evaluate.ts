import { LeadglassError } from "../../errors.ts";
import { evaluateRun, type EvaluateReport } from "../../study/evaluate-run.ts";
import type { ReleaseEvaluateReport } from "../../study/release-run.ts";
import { verdictLine } from "../../study/shortcuts/record.ts";
import { command } from "../command.ts";
import { count, interval, significant, significantUp, styled, table } from "../output.ts";

export const evaluate = command({
  name: "evaluate",
  about:
    "Evaluates a finished run on a split: metrics with 95 % intervals, resampled by patient, overall and by group, at the threshold that was chosen on validation. Writes nothing but an entry in the cohort's ledger.",
  options: {
    run: { kind: "text", value: "RUN", about: "the run's folder", required: true },
    cohort: { kind: "text", value: "DIR", about: "the cohort's folder" },
    encodings: {
      kind: "list",
      value: "RELEASE",
      about: "in place of a cohort, for a run on releases: the release, or several",
    },
    split: { kind: "text", value: "NAME", about: "the split, or all", initial: "test" },
    group: {
      kind: "list",
      value: "COLUMN",
      about: "also by a column, in bands (age:18,40,60,75), or by several at once (sex+age:60)",
    },
    profile: {
      kind: "text",
      about: "also as the reference study (Tayebi Arasteh et al. 2024) evaluates, to compare with its tables",
      oneOf: ["reference"],
    },
    release: { kind: "flag", about: "leave out the numbers of groups that are too small to be published" },
  },
  examples: [
    "leadglass evaluate --run runs/private --cohort masses",
    "leadglass evaluate --run runs/union --encodings north --encodings river",
    "leadglass evaluate --run runs/private --cohort masses --group sex --group age:18,40,60,75 --json",
  ],
  async run({ run, cohort, encodings, split, group, profile, release }, terminal) {
    using progress = terminal.progress("predicting", "images");
    if (encodings.length > 0) {
      const { evaluateReleases } = await import("../../study/release-run.ts");
      const report = await evaluateReleases({
        ...{ run, releases: encodings, split, groups: group },
        onProgress: progress.update,
      });
      progress[Symbol.dispose]();
      return { json: report, text: releaseText(report) };
    }
    if (cohort === undefined) throw new LeadglassError("LG-USAGE-001", "--cohort or --encodings is missing");
    const { report } = await evaluateRun({
      run,
      cohort,
      split,
      groups: group,
      release,
      ...(profile === undefined ? {} : { profile }),
      onProgress: progress.update,
      onWarning: terminal.warn,
    });
    progress[Symbol.dispose]();
    return { json: report, text: textOf(report) };
  },
});

type Metrics = Pick<
  EvaluateReport["groups"][number],
  "n" | "patients" | "positives" | "auroc" | "auprc" | "prevalence" | "accuracy" | "sensitivity" | "specificity"
>;

const metricNames = ["AUROC", "AUPRC", "prevalence", "accuracy", "sensitivity", "specificity"];

const metricCells = ({ auroc, auprc, prevalence, accuracy, sensitivity, specificity }: Metrics): string[] => [
  interval(auroc),
  interval(auprc),
  prevalence === null ? "" : prevalence.toFixed(3),
  interval(accuracy),
  interval(sensitivity),
  interval(specificity),
];

function releaseText({ split, n, metrics, groups }: ReleaseEvaluateReport): string {
  const sections = Object.entries(metrics).map(([target, overall]) =>
    [
      styled("bold", `${target}, ${split}: ${count(overall.n)} labelled encodings`, process.stdout),
      table([
        ["metric", "value [95 % interval]"],
        ...metricCells(overall).map((cell, i) => [metricNames[i]!, cell]),
        ["threshold", overall.threshold.toFixed(3)],
        ...groups
          .filter((group) => group.target === target)
          .map((group) => [
            `${group.column} ${group.value ?? "missing"}`,
            group.reason === null ? `AUROC ${interval(group.auroc)}` : group.reason,
          ]),
      ]),
    ].join("\n"),
  );
  const note = "a release does not say which images are one patient's: intervals take each image by itself";
  return [...sections, `${count(n)} encodings; ${note}`].join("\n\n");
}

/** The differences between groups that have a name in the literature. */
function gapLines({ columns }: NonNullable<EvaluateReport["fairness"][string]>): string[] {
  const rows = columns.flatMap((column) =>
    column.groups.length < 2
      ? []
      : [
          [
            column.column,
            interval(column.worst.auroc),
            interval(column.statisticalParityDifference),
            interval(column.equalOpportunityDifference),
            interval(column.equalisedOddsGap),
          ],
        ],
  );
  const heading = ["", "worst AUROC", "statistical parity", "equal opportunity", "equalised odds"];
  return rows.length === 0 ? [] : [table([heading, ...rows])];
}

/** Mean (SD) of the reference study's way, and its accuracy gaps. */
function referenceLines({ caution, targets, average, resamples }: NonNullable<EvaluateReport["reference"]>): string[] {
  const names = ["auroc", "accuracy", "sensitivity", "specificity", "f1"] as const;
  const rows = [...Object.entries(targets), ["average", average] as const].map(([name, own]) => [
    name,
    ...names.map((metric) => `${own[metric].mean.toFixed(3)} (${own[metric].standardDeviation.toFixed(3)})`),
  ]);
  const gaps = Object.entries(targets).flatMap(([target, own]) =>
    Object.entries(own.gaps).flatMap(([column, list]) =>
      list.map(({ value, n, accuracyGap }) => [target, column, value, count(n), accuracyGap.toFixed(1)]),
    ),
  );
  return [
    `REFERENCE PROFILE: ${caution}.`,
    table([["", ...names.map((name) => `${name}, mean (SD)`)], ...rows]),
    ...(gaps.length > 0 ? [table([["accuracy gap", "", "", "images", "points"], ...gaps])] : []),
    `${count(resamples)} resamples of images`,
  ];
}

function textOf({
  split,
  n,
  patients,
  metrics,
  groups,
  fairness,
  shortcuts,
  reference,
  privacy,
  ledger,
}: EvaluateReport): string {
  const heading = (text: string) => styled("bold", text, process.stdout);
  const sections = Object.entries(metrics).map(([target, overall]) => {
    const own = groups.filter((group) => group.target === target);
    const parts = [
      heading(`${target}, ${split}: ${count(overall.n)} labelled images of ${count(overall.patients)} patients`),
      table([
        ["metric", "value [95 % interval]"],
        ...metricCells(overall).map((cell, i) => [metricNames[i]!, cell]),
        ["threshold", overall.threshold.toFixed(3)],
      ]),
      verdictLine(shortcuts[target] ?? undefined),
    ];
    if (own.length > 0)
      parts.push(
        "",
        table([
          ["group", "", "images", "patients", "AUROC", "sensitivity", "specificity"],
          ...own.map((group) => [
            group.column,
            group.value ?? "missing",
            group.n === null ? "" : count(group.n),
            group.patients === null ? "" : count(group.patients),
            ...(group.reason === null
              ? [interval(group.auroc), interval(group.sensitivity), interval(group.specificity)]
              : [group.reason]),
          ]),
        ]),
      );
    const judged = fairness[target];
    if (judged)
      parts.push(
        "",
        `${judged.verdict.sentence} (A false alarm of ${judged.verdict.falseAlarm} for all groups together.)`,
        ...gapLines(judged),
      );
    return parts.join("\n");
  });
  const guarantee = privacy
    ? `epsilon ${significantUp(privacy.epsilon)} at delta ${significant(privacy.delta)} for each ${privacy.unit}` +
      (privacy.insecureSeed ? "; insecureSeed: the noise came from a seed, so this protects nobody" : "") +
      privacy.notAccounted.map((what) => `\nNOT ACCOUNTED, outside this epsilon: ${what}`).join("")
    : "trained without privacy";
  const measured = `NOT ACCOUNTED: these figures carry no noise for the ${count(patients)} patients they were measured on`;
  const entered = ledger === null ? "; no ledger could be written" : `; entry ${ledger.index} of ${ledger.path}`;
  return [
    ...sections,
    ...(reference ? [referenceLines(reference).join("\n")] : []),
    `${count(n)} images of ${count(patients)} patients; ${guarantee}`,
    ...(ledger?.access === "public" ? [] : [measured + entered]),
  ].join("\n\n");
}
