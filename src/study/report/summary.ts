/** From the results table of a study to what its report says: arms beside one another, averaged over seeds, in plain words. */
import { percentText } from "../meaning.ts";
import { meanOverSeeds, type ArmKind, type ArmRecord, type AttackRecord, type ResultRow, type StudyRecord } from "../results/index.ts"; // prettier-ignore

/** A value with its interval; null where it is not defined. */
export interface Interval {
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
}

/** The mean over seeds, within the lowest and the highest end of their intervals. */
export interface Averaged extends Interval {
  /** One for each seed that has a value. */
  readonly single: readonly number[];
  readonly images: number | null;
  readonly patients: number | null;
  /** What the values were computed from, and the entries of the ledger that answer for them. */
  readonly files: readonly string[];
  readonly ledgerEntries: readonly string[];
}

export interface AttackSummary extends AttackRecord {
  /** Share of what can be gained over guessing: 0 is guessing, 1 is everything. */
  readonly gain: Interval;
  /** "nothing" where the attack did not break its own control: then its failure says nothing. */
  readonly shows: "success" | "no success" | "nothing";
}

export interface ArmSummary {
  /** A letter that stands for the arm in charts and tables. */
  readonly mark: string;
  readonly arm: ArmRecord;
  /** AUROC by target; absent where the arm has none. */
  readonly auroc: Readonly<Record<string, Averaged>>;
  readonly attacks: readonly AttackSummary[];
  /** Of the attacks that can be believed the one that gained most; null where none was run. */
  readonly worst: AttackSummary | null;
}

export interface GroupSummary {
  /** "sex" of "sex=F". */
  readonly column: string;
  readonly value: string;
  /** By arm. */
  readonly auroc: Readonly<Record<string, Averaged>>;
}

export interface StudySummary {
  readonly arms: readonly ArmSummary[];
  /** Which cohort and split the figures are of. */
  readonly cohort: string | null;
  readonly split: string | null;
  /** By target. */
  readonly groups: Readonly<Record<string, readonly GroupSummary[]>>;
  readonly answer: Answer;
}

/** What a study says, in plain words. */
export interface Answer {
  readonly headline: readonly string[];
  /** By what they are about; none is empty. */
  readonly parts: readonly { readonly title: string; readonly sentences: readonly string[] }[];
}

/** What the kinds of arms are called, in the order of their looks. */
export const kindNames: Readonly<Record<ArmKind, string>> = {
  open: "without privacy",
  private: "private training",
  encodings: "private encodings",
  synthetic: "synthetic images",
};

/** A, B, ..., Z, AA, AB, ... */
const markOf = (i: number): string => (i < 26 ? "" : markOf(Math.floor(i / 26) - 1)) + String.fromCharCode(65 + (i % 26)); // prettier-ignore

const known = <T>(values: readonly (T | null)[]): T[] => values.filter((value) => value !== null);

const averaged = (rows: readonly ResultRow[]): Averaged => ({
  ...(meanOverSeeds(rows) ?? { value: null, low: null, high: null }),
  single: known(rows.map(({ value }) => value)),
  images: rows[0]?.images ?? null,
  patients: rows[0]?.patients ?? null,
  files: [...new Set(rows.map(({ file }) => file))],
  ledgerEntries: [...new Set(known(rows.map(({ ledgerEntry }) => ledgerEntry)))],
});

/** An attack's place between guessing and everything, and what it shows. */
export function attackSummary(attack: AttackRecord): AttackSummary {
  const { success, chance, valid } = attack;
  const gain = (x: number | null): number | null => (x === null ? null : Math.max(0, (x - chance) / (1 - chance)));
  const shows = (success.low ?? success.value) > chance ? "success" : valid ? "no success" : "nothing";
  return {
    ...attack,
    gain: { value: gain(success.value), low: gain(success.low), high: gain(success.high) },
    shows,
  };
}

/** Test rows on the first cohort of the study; where there are none, those of whatever cohort and split is most common. */
function mainRows(record: StudyRecord, rows: readonly ResultRow[]): readonly ResultRow[] {
  const measured = rows.filter(({ metric, attack }) => metric === "auroc" && attack === null);
  const first = measured.filter(({ cohort, split }) => cohort === record.cohorts[0]?.name && split === "test");
  if (first.length > 0) return first;
  const byPlace = Map.groupBy(measured, ({ cohort, split }) => JSON.stringify([cohort, split]));
  return [...byPlace.values()].sort((a, b) => b.length - a.length)[0] ?? [];
}

const byArm = (rows: readonly ResultRow[]): Record<string, Averaged> =>
  Object.fromEntries([...Map.groupBy(rows, ({ arm }) => arm)].map(([arm, own]) => [arm, averaged(own)]));

/** Summarises a study from its record and its results table. */
export function summarise(record: StudyRecord, rows: readonly ResultRow[]): StudySummary {
  const main = mainRows(record, rows);
  const overall = main.filter(({ group }) => group === null);
  const arms = record.arms.map((arm, i): ArmSummary => {
    const own = overall.filter((row) => row.arm === arm.name && row.target !== null);
    const attacks = record.attacks.filter((attack) => attack.arm === arm.name).map(attackSummary);
    const believed = attacks.filter(({ shows }) => shows !== "nothing");
    return {
      mark: markOf(i),
      arm,
      auroc: Object.fromEntries([...Map.groupBy(own, ({ target }) => target!)].map(([t, r]) => [t, averaged(r)])),
      attacks,
      worst: believed.toSorted((a, b) => (b.gain.value ?? 0) - (a.gain.value ?? 0))[0] ?? null,
    };
  });
  const groups = Object.fromEntries(
    record.targets.map((target) => {
      const own = main.filter((row) => row.target === target && row.group !== null);
      return [
        target,
        [...Map.groupBy(own, ({ group }) => group!)].map(([group, rows]): GroupSummary => {
          const [column = group, ...value] = group.split("=");
          return { column, value: value.join("="), auroc: byArm(rows) };
        }),
      ];
    }),
  );
  const summary = { arms, cohort: main[0]?.cohort ?? null, split: main[0]?.split ?? null, groups };
  return { ...summary, answer: answerOf(record, summary) };
}

const digits = (x: number): string => x.toFixed(2).replace(/^-0\.00$/, "0.00").replace("-", "−"); // prettier-ignore

/** "0.71 [0.63, 0.79]", or why there is no such number. */
export const intervalOf = ({ value, low, high }: Interval): string =>
  value === null
    ? "not enough patients to tell"
    : `${digits(value)} ${low === null || high === null ? "[no interval]" : `[${digits(low)}, ${digits(high)}]`}`;

/** Never below the number: a guarantee is not rounded down. */
export const epsilonText = (epsilon: number): string => {
  const unit = 10 ** (Math.floor(Math.log10(epsilon)) - 2);
  return String(Number((Math.ceil(epsilon / unit - 1e-9) * unit).toPrecision(3)));
};

const listOf = (items: readonly string[]): string =>
  items.length < 2 ? (items[0] ?? "") : `${items.slice(0, -1).join(", ")} and ${items.at(-1)!}`;

const named = ({ mark, arm }: ArmSummary): string => `${mark} (${arm.name})`;

/** Whether two intervals have no point in common, and on which side the first lies. */
const apart = (a: Interval, b: Interval): "below" | "above" | null =>
  known([a.low, a.high, b.low, b.high]).length < 4
    ? null
    : a.high! < b.low!
      ? "below"
      : a.low! > b.high!
        ? "above"
        : null;

function answerOf(record: StudyRecord, { arms, groups }: Pick<StudySummary, "arms" | "groups">): Answer {
  const parts = [
    { title: "What it gives away", sentences: attackSentences(arms) },
    { title: "What it costs", sentences: costSentences(record, { arms }) },
    { title: "Whom it serves", sentences: fairnessSentences(record, groups) },
    { title: "Read with care", sentences: caveats(record, arms) },
  ];
  return { headline: headline(record, arms), parts: parts.filter(({ sentences }) => sentences.length > 0) };
}

/** What was asked for and who meets it; where nothing was asked for, who was broken and who was not. */
function headline({ decision }: StudyRecord, arms: readonly ArmSummary[]): string[] {
  if (decision === undefined || decision.constraints.length === 0) {
    const attacked = arms.filter(({ worst }) => worst !== null);
    if (attacked.length === 0)
      return ["Nothing was attacked, so this study says what sharing costs and not what it gives away."];
    const broken = attacked.filter(({ worst }) => worst!.shows === "success");
    return [
      broken.length === 0
        ? "No attack that was run did surely better than guessing."
        : `Attacks succeeded on ${listOf(broken.map(named))}${broken.length < attacked.length ? ", and on no other arm that was attacked" : ""}.`,
      "No constraints were given, so nothing is recommended.",
    ];
  }
  const of = (answer: string): ArmSummary[] =>
    arms.filter(({ arm }) => decision.arms.find((d) => d.arm === arm.name)?.qualifies === answer);
  const [yes, unsure] = [of("yes"), of("cannot tell")];
  return [
    yes.length > 0
      ? `${listOf(yes.map(named))} ${yes.length > 1 ? "meet" : "meets"} all that was asked for.`
      : "No way of sharing is shown to meet all that was asked for.",
    ...(unsure.length > 0
      ? [`Of ${listOf(unsure.map(named))} this study cannot tell: its intervals are too wide, or something was not measured.`] // prettier-ignore
      : []),
  ];
}

function attackSentences(arms: readonly ArmSummary[]): string[] {
  const attacked = arms.filter(({ worst }) => worst !== null);
  const broken = attacked.filter(({ worst }) => worst!.shows === "success");
  const held = attacked.filter(({ worst }) => worst!.shows === "no success");
  const done = arms.filter(({ arm, worst }) => arm.state === "done" && worst === null);
  const never = done.filter(({ attacks }) => attacks.length === 0);
  const unbelieved = done.filter(({ attacks }) => attacks.length > 0);
  return [
    ...broken
      .toSorted((a, b) => (b.worst!.gain.value ?? 0) - (a.worst!.gain.value ?? 0))
      .map(
        (each) =>
          `${named(each)} gave something away: the attack "${each.worst!.attack}" reached ${intervalOf(each.worst!.success)}, where guessing reaches ${digits(each.worst!.chance)}.`,
      ),
    ...arms.flatMap(
      ({ arm, mark }) =>
      !arm.attacker
        ? []
        : [`It is proven that nobody who accuses ${percentText(arm.attacker.falsePositiveRate)} of the innocent catches more than ${percentText(arm.attacker.truePositiveRate)} of those ${mark} (${arm.name}) was trained on.`], // prettier-ignore
    ),
    ...(held.length > 0
      ? [`No attack that was run on ${listOf(held.map(named))} did surely better than guessing; a stronger one may.`]
      : []),
    ...(never.length > 0 ? [`${listOf(never.map(named))} ${never.length > 1 ? "were" : "was"} not attacked.`] : []),
    ...(unbelieved.length > 0
      ? [`The attacks on ${listOf(unbelieved.map(named))} say nothing: they did not break their own control.`]
      : []),
  ];
}

/** How an arm's AUROC compares with the one without privacy: by paired differences where there are, or by intervals. */
function compared({ costs }: StudyRecord, other: ArmSummary, base: ArmSummary, target: string) {
  const own = other.auroc[target]!;
  const paired = costs.filter((c) => c.arm === other.arm.name && c.than === base.arm.name && c.target === target && c.group === null); // prettier-ignore
  const difference = meanOverSeeds(paired.map((cost) => cost.difference));
  if (difference === null)
    return { side: apart(own, base.auroc[target]!), text: `${named(other)} ${digits(own.value!)}`, paired: false };
  const { value, low, high } = difference;
  const side = low === null || high === null ? null : high < 0 ? "below" : low > 0 ? "above" : null;
  const bounds = low === null || high === null ? "[no interval]" : `[${signed(low)}, ${signed(high)}]`;
  return { side, text: `${named(other)} by ${signed(value)} ${bounds}`, paired: true };
}

const signed = (x: number): string => (x >= 0.005 ? "+" : "") + digits(x);

function costSentences(record: StudyRecord, { arms }: Pick<StudySummary, "arms">): string[] {
  return record.targets.flatMap((target) => {
    const base = arms.find(({ arm, auroc }) => arm.kind === "open" && auroc[target]);
    if (base === undefined) return [];
    const reference = base.auroc[target]!;
    if (reference.value === null) return [`${target}: there are not enough patients to tell one arm from another.`];
    const all = arms
      .filter((other) => other !== base && (other.auroc[target]?.value ?? null) !== null)
      .map((other) => compared(record, other, base, target));
    const on = (side: "below" | "above" | null): string => listOf(all.filter((c) => c.side === side).map((c) => c.text)); // prettier-ignore
    const [below, above, unsure] = [on("below"), on("above"), on(null)];
    return [
      `${target}: ${named(base)} has an AUROC of ${intervalOf(reference)}.`,
      ...(below === "" ? [] : [`${target}, surely lower: ${below}.`]),
      ...(above === "" ? [] : [`${target}, surely higher: ${above}.`]),
      ...(unsure === "" ? [] : [`${target}, not to be told apart from it on these patients: ${unsure}.`]),
    ];
  });
}

/** Of each arm the groups that lie surely below another of their column, by intervals that do not meet. */
function fairnessSentences({ targets, groups: asked }: StudyRecord, groups: StudySummary["groups"]): string[] {
  if (asked.length === 0) return ["The study names no groups, so it cannot tell."];
  const all = targets.flatMap((target) => groups[target] ?? []);
  const found = targets.flatMap((target) =>
    [...Map.groupBy(groups[target] ?? [], ({ column }) => column)].flatMap(([column, own]) =>
      [...new Set(own.flatMap(({ auroc }) => Object.keys(auroc)))].flatMap((arm) => {
        const known = own.flatMap(({ value, auroc }) => (auroc[arm] ? [{ value, auroc: auroc[arm] }] : []));
        const lower = known.filter((a) => known.some((b) => apart(a.auroc, b.auroc) === "below"));
        return lower.map(({ value, auroc }) => `${target}, ${arm}: ${column} ${value} has an AUROC of ${intervalOf(auroc)}, below another group's interval.`); // prettier-ignore
      }),
    ),
  );
  if (all.every(({ auroc }) => Object.values(auroc).every(({ low }) => low === null)))
    return ["There are not enough patients in any group to tell."];
  const small = all.filter(({ auroc }) => Object.values(auroc).every(({ low }) => low === null)).length;
  return [
    ...(found.length > 0
      ? found
      : ["No group's interval lies apart from another's; on few patients that is weak comfort."]),
    ...(small > 0
      ? [`Of ${small} ${small > 1 ? "groups" : "group"} there are not enough patients to tell, or they are suppressed.`]
      : []),
  ];
}

function caveats({ cohorts, shortcuts, ledger }: StudyRecord, arms: readonly ArmSummary[]): string[] {
  const confounded = Object.entries(shortcuts).filter(([, { verdict }]) => verdict === "confounded");
  const failed = arms.filter(({ arm }) => arm.state === "failed");
  const waiting = arms.filter(({ arm }) => arm.state === "waiting");
  const open = arms.filter(({ arm }) => arm.state === "done" && arm.epsilon !== null && arm.notAccounted.length > 0);
  return [
    ...confounded.map(([target, { reasons }]) =>
      `Do not read an AUROC for ${target} as skill: the cohort is confounded. ${reasons[0] ?? ""}`.trim(),
    ),
    ...(open.length > 0
      ? [
          `Outside the epsilon of ${listOf(open.map(named))} lie accesses that are NOT ACCOUNTED; they are listed below.`,
        ]
      : []),
    ...ledger.budgets
      .filter(({ epsilon, warnings }) => epsilon.upper > 0 && warnings.length > 0)
      .map(
        ({ cohortFingerprint, epsilon, delta, unit, warnings }) =>
          `All trainings together cost cohort ${cohortFingerprint.slice(0, 12)} epsilon ${epsilonText(epsilon.upper)} at delta ${delta} for each ${unit}, but ${warnings.join("; ")}.`, // prettier-ignore
      ),
    ...(failed.length > 0
      ? [`${listOf(failed.map(named))} failed and ${failed.length > 1 ? "have" : "has"} no figures.`]
      : []),
    ...(waiting.length > 0
      ? [`${listOf(waiting.map(named))} ${waiting.length > 1 ? "have" : "has"} not been run yet.`]
      : []),
    ...(cohorts.some(({ phantom }) => phantom)
      ? ["The patients are drawn by a program: this shows how the methods compare, not how they do on people."]
      : []),
  ];
}
