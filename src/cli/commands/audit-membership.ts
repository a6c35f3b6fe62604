import {
  auditMembership,
  membershipAttacks,
  type AttackMetrics,
  type MembershipAttackName,
  type MembershipReport,
} from "../../study/membership.ts";
import { command } from "../command.ts";
import { count, interval, significant, significantUp, styled, table } from "../output.ts";

const attacks = Object.keys(membershipAttacks) as MembershipAttackName[];

export const auditMembershipCommand = command({
  name: "audit membership",
  about:
    "Attacks a finished run: how well its train patients can be told from its test patients, overall, by label and by group. Everything is counted in patients.",
  options: {
    run: { kind: "text", value: "RUN", about: "the run's folder", required: true },
    cohort: { kind: "text", value: "DIR", about: "the cohort the run was trained on", required: true },
    attack: { kind: "text", about: "what the attacker looks at", oneOf: attacks, initial: "loss" },
    shadows: { kind: "whole", value: "N", about: "shadow models of lira and rmia, an even number; 16 unless given" },
    "shadow-dir": {
      kind: "text",
      value: "DIR",
      about: "where finished shadow models are kept; RUN/shadows unless given",
    },
    group: { kind: "list", value: "COLUMN", about: "also by the values of a column; age is taken in bands" },
    device: { kind: "text", about: "where to compute", oneOf: ["cpu", "webgpu", "cuda"], initial: "cpu" },
  },
  notes:
    "Each shadow model is a training like the run's on half of the patients. Ctrl-C keeps the finished ones: the same command goes on. The figures describe private data; keep them in the house.",
  examples: [
    "leadglass audit membership --run runs/private --cohort masses --json",
    "leadglass audit membership --run runs/private --cohort masses --attack lira --shadows 32 --group sex,age",
  ],
  async run({ run, cohort, attack, shadows, "shadow-dir": shadowDir, group, device }, terminal) {
    using asking = terminal.progress("asking the model", "images");
    using training = terminal.progress("training shadow models", "models", { leave: true });
    const report = await auditMembership({
      ...{ run, cohort, attack, groups: group, device },
      ...(shadows === undefined ? {} : { shadows }),
      ...(shadowDir === undefined ? {} : { shadowDir }),
      signal: terminal.signal,
      onNote: terminal.note,
      onAnswers: asking.update,
      onShadow: ({ shadow, shadows: total, step, steps }) => {
        asking[Symbol.dispose]();
        training.update(shadow, total, `step ${step} of ${steps}`);
      },
    });
    asking[Symbol.dispose]();
    training[Symbol.dispose]();
    return { json: report, text: textOf(report) };
  },
});

const none = (reason: string | null | undefined) => ({ value: null, low: null, high: null, reason: reason ?? "" });

const cells = ({ auroc, tprAtFpr, reason }: AttackMetrics): string[] => [
  interval(auroc ?? none(reason)),
  ...["0.01", "0.001"].map((fpr) => {
    const rate = tprAtFpr[fpr]!;
    return rate.value === null ? "not enough patients" : interval(rate);
  }),
];

function textOf(report: MembershipReport): string {
  const { attack, epsilon, splits, members, nonMembers, bound } = report;
  const heading = (text: string) => styled("bold", text, process.stdout);
  const rates = Object.entries(report.tprAtFpr).map(([fpr, rate]) => [
    `caught at ${100 * Number(fpr)} % false alarms`,
    rate.value === null ? (rate.reason ?? "") : interval(rate),
    bound ? `at most ${bound[fpr]!.toFixed(3)} if the claim holds` : "",
  ]);
  const parts = [
    heading(`${attack}: ${membershipAttacks[attack].about}`),
    `${count(members)} members (${splits.members}) against ${count(nonMembers)} others (${splits.nonMembers}); 0.5 is guessing`,
    "",
    table([
      ["", "value [95 % interval]", ""],
      ["AUROC", interval(report.auroc ?? none(report.reason)), ""],
      ...rates,
      ["balanced accuracy", interval(report.balancedAccuracy ?? none(report.reason)), ""],
      [
        "epsilon",
        `at least ${significant(epsilon.lower)}`,
        epsilon.upper === null
          ? "no claim for patients"
          : `claimed: at most ${significantUp(epsilon.upper)}, at delta ${significant(epsilon.delta)}`,
      ],
    ]),
  ];
  const split = [
    ...report.byLabel.map((part) => [part.target, String(part.label), part] as const),
    ...report.groups.map((part) => [part.column, part.value ?? "missing", part] as const),
  ];
  parts.push(
    "",
    table([
      ["patients", "", "members", "others", "AUROC", "at 1 %", "at 0.1 %"],
      ...split.map(([column, value, part]) => [
        column,
        value,
        count(part.members),
        count(part.nonMembers),
        ...cells(part),
      ]),
    ]),
    "",
    heading("The attacker has"),
    ...report.knowledge.map((line) => `  ${line}`),
    heading("It is assumed that"),
    ...report.assumptions.map((line) => `  ${line}`),
  );
  return parts.join("\n");
}
