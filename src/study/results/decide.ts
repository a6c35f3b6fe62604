/** Which arms of a study meet what a user asks for, with the evidence and how wide it is. */
import { meanOverSeeds, type Estimate } from "./estimates.ts";
import type { ArmRecord, StudyRecord } from "./record.ts";
import type { ResultRow } from "./rows.ts";

export interface Constraints {
  /** Epsilon that must be proven for a patient, at most. */
  readonly epsilon?: number | undefined;
  /** AUROC on the test patients, at least. */
  readonly auroc?: number | undefined;
  /** The target that `auroc` is of; all targets by default. */
  readonly target?: string | undefined;
  /** AUROC of the worst group, at least. */
  readonly worstGroup?: number | undefined;
  /** How much of what can be gained over guessing an attack may gain, at most: 0 is guessing, 1 is everything. */
  readonly attackGain?: number | undefined;
  /** Patients that the user has to train on; an arm that saw more says nothing of so few. */
  readonly patients?: number | undefined;
}

export type Answer = "yes" | "no" | "cannot tell";

export interface Decision {
  readonly constraints: readonly string[];
  readonly arms: readonly {
    readonly arm: string;
    readonly qualifies: Answer;
    readonly reasons: readonly { readonly constraint: string; readonly meets: Answer; readonly evidence: string }[];
  }[];
}

const share = (x: number): string => x.toFixed(3);
const rangeText = ({ value, low, high }: Estimate): string =>
  low === null || high === null ? share(value) : `${share(value)} [${share(low)}, ${share(high)}]`;

/** "yes" where even the lower end is enough, "no" where not even the upper end is. */
function atLeast(estimate: Estimate | null, least: number): Answer {
  if (estimate === null) return "cannot tell";
  const { value, low, high } = estimate;
  if ((low ?? (value >= least ? -Infinity : value)) >= least) return "yes";
  return (high ?? Infinity) < least ? "no" : "cannot tell";
}

/** An attack of one arm: its row, and what it gains over guessing. */
interface Attacked {
  readonly attack: string;
  readonly valid: boolean;
  readonly success: Estimate;
  readonly gain: (of: number) => number;
}

function attacksOn({ name }: ArmRecord, { attacks }: StudyRecord): Attacked[] {
  return attacks
    .filter(({ arm }) => arm === name)
    .map(({ attack, success, chance, valid }) => ({
      ...{ attack, valid, success },
      gain: (of) => (chance < 1 ? (of - chance) / (1 - chance) : 0),
    }));
}

/** Whether an attack's interval lies above guessing. */
const succeeds = ({ success, gain }: Attacked): boolean => gain(success.low ?? success.value) > 0;

function attackReason(arm: ArmRecord, record: StudyRecord, most: number | undefined) {
  const all = attacksOn(arm, record);
  const constraint =
    most === undefined
      ? "no attack re-identifies encodings"
      : `attacks gain at most ${share(most)} of what there is over guessing`;
  const broken = all.filter(succeeds).sort((a, b) => b.gain(b.success.value) - a.gain(a.success.value));
  const worst = broken[0];
  if (worst) {
    const { low, high, value } = worst.success;
    const limit = most ?? 0;
    const meets: Answer =
      arm.kind === "encodings" || worst.gain(low ?? value) > limit
        ? "no"
        : worst.gain(high ?? value) <= limit
          ? "yes"
          : "cannot tell";
    return { constraint, meets, evidence: `${worst.attack} succeeds: ${rangeText(worst.success)}` };
  }
  const believed = all.filter(({ valid }) => valid);
  if (believed.length === 0)
    return { constraint, meets: "cannot tell" as const, evidence: "no attack that can be believed was run" };
  // A proof bounds every attack; the failure of some attacks bounds those alone.
  if (arm.kind === "encodings")
    return { constraint, meets: "cannot tell" as const, evidence: `no success of ${believed.map(({ attack }) => attack).join(", ")}: that bounds these and no others` }; // prettier-ignore
  const highest = believed.reduce((a, b) => (b.gain(b.success.high ?? 1) > a.gain(a.success.high ?? 1) ? b : a));
  const meets: Answer = highest.gain(highest.success.high ?? 1) <= (most ?? 0) ? "yes" : "cannot tell";
  return { constraint, meets, evidence: `${highest.attack}: ${rangeText(highest.success)}` };
}

const worstOf = (answers: readonly Answer[]): Answer =>
  answers.includes("no") ? "no" : answers.includes("cannot tell") ? "cannot tell" : "yes";

/**
 * Holds every arm against the constraints. An arm of encodings on which an attack succeeded never qualifies, whatever is
 * asked, and one on which none did is "cannot tell": the attackers that were tried are not all there are.
 */
export function decide(record: StudyRecord, rows: readonly ResultRow[], constraints: Constraints): Decision {
  const { epsilon, auroc, worstGroup, attackGain, patients } = constraints;
  const targets = constraints.target === undefined ? record.targets : [constraints.target];
  const arms = record.arms.map((arm) => {
    const own = rows.filter((row) => row.arm === arm.name && row.metric === "auroc" && row.attack === null);
    const reasons: Decision["arms"][number]["reasons"][number][] = [];
    if (arm.state !== "done")
      reasons.push({
        constraint: "the arm ran to its end",
        meets: "cannot tell",
        evidence: arm.error ? `${arm.error.code} ${arm.error.message}` : arm.state,
      });
    if (epsilon !== undefined)
      reasons.push({
        constraint: `epsilon of at most ${epsilon}, proven for each patient`,
        meets: arm.epsilon !== null && arm.epsilon <= epsilon && arm.unit !== "image" ? "yes" : "no",
        evidence:
          arm.epsilon === null
            ? "nothing is proven"
            : `epsilon ${Math.ceil(arm.epsilon * 1e4 - 1e-6) / 1e4} at delta ${arm.delta ?? "?"} for each ${arm.unit ?? "unit"}`,
      });
    if (auroc !== undefined)
      for (const target of targets) {
        const estimate = meanOverSeeds(own.filter((row) => row.target === target && row.group === null));
        const meets = atLeast(estimate, auroc);
        const confounded = record.shortcuts[target]?.verdict === "confounded";
        reasons.push({
          constraint: `AUROC of at least ${share(auroc)} for ${target}`,
          // What a shortcut may have earned is no evidence that the disease is seen.
          meets: meets === "yes" && confounded ? "cannot tell" : meets,
          evidence: estimate
            ? `${rangeText(estimate)}${confounded ? "; the cohort is confounded for this target" : ""}`
            : "no value",
        });
      }
    if (worstGroup !== undefined) {
      const groups = Map.groupBy(
        own.filter((row) => row.group !== null && targets.includes(row.target ?? "")),
        (row) => `${row.target}, ${row.group}`,
      );
      const estimates = [...groups].map(([name, of]) => ({ name, estimate: meanOverSeeds(of) }));
      const answers = estimates.map(({ estimate }) => atLeast(estimate, worstGroup));
      const known = estimates.filter(({ estimate }) => estimate !== null);
      const worst = known.length > 0 ? known.reduce((a, b) => (b.estimate!.value < a.estimate!.value ? b : a)) : null;
      reasons.push({
        constraint: `AUROC of at least ${share(worstGroup)} in every group`,
        meets: answers.length === 0 ? "cannot tell" : worstOf(answers),
        evidence: worst ? `lowest: ${worst.name} ${rangeText(worst.estimate!)}` : "no group has a value",
      });
    }
    if (arm.kind === "encodings" || attackGain !== undefined) reasons.push(attackReason(arm, record, attackGain));
    if (patients !== undefined) {
      const trainedOn = rows.find((row) => row.arm === arm.name && row.metric === "training patients")?.value ?? null;
      reasons.push({
        constraint: `trained on at most ${patients} patients, as many as you have`,
        meets: trainedOn !== null && trainedOn <= patients ? "yes" : "cannot tell",
        evidence: trainedOn === null ? "not known" : `trained on ${trainedOn}`,
      });
    }
    return { arm: arm.name, qualifies: worstOf(reasons.map(({ meets }) => meets)), reasons };
  });
  return { constraints: constraintTexts(constraints), arms };
}

function constraintTexts({ epsilon, auroc, target, worstGroup, attackGain, patients }: Constraints): string[] {
  return [
    ...(epsilon === undefined ? [] : [`must not leak more than a proven epsilon of ${epsilon} for each patient`]),
    ...(auroc === undefined ? [] : [`needs an AUROC of at least ${auroc}${target === undefined ? "" : ` for ${target}`}`]), // prettier-ignore
    ...(worstGroup === undefined ? [] : [`needs an AUROC of at least ${worstGroup} in every group`]),
    ...(attackGain === undefined ? [] : [`attacks may gain at most ${attackGain} of what there is over guessing`]),
    ...(patients === undefined ? [] : [`has ${patients} patients to train on`]),
    "never recommends encodings that an attack has broken",
  ];
}
