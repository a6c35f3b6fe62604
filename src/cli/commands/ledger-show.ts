import {
  lineageOf,
  summariseLedger,
  type Access,
  type LedgerBudget,
  type LedgerEntry,
  type LedgerProblem,
  type LedgerRow,
} from "../../privacy/index.ts";
import { readLedger } from "../../study/run-folder.ts";
import { command } from "../command.ts";
import { significant, significantUp, styled, table } from "../output.ts";

const words: Readonly<Record<Access, string>> = {
  accounted: "accounted",
  public: "public",
  "owner only": "owner only",
  "not accounted": "NOT ACCOUNTED",
};

/** What is to be shown: of a run, the ledger of its cohort as it stands now, where it is whole; else the run's own copy. */
async function shown(place: string) {
  const { entries, verification, run, cohort } = await readLedger(place);
  const all = verification.valid && cohort.entries !== null ? cohort.entries : entries;
  return { entries: all, own: run === null ? null : lineageOf(all, run), verification, run, path: cohort.path };
}

export const ledgerShow = command({
  name: "ledger show",
  about:
    "Shows everything that was done with a cohort's patients, in words: what was opened, when, by which mechanism, what it cost, what no epsilon covers, and what is left of the budget. Give a run, or the ledger file of a cohort.",
  positionals: ["RUN"],
  options: {},
  notes:
    "A star marks what the given run did. Exits with 4 where the ledger, the run or its cohort's ledger was changed.",
  examples: ["leadglass ledger show runs/private", "leadglass ledger show runs/ledgers/1f3a5c7e9b2d4f60.jsonl"],
  async run(_options, _terminal, [place]) {
    const { entries, own, verification, run, path } = await shown(place!);
    const { rows, budgets } = summariseLedger(entries);
    const text = [
      `ledger ${path}`,
      ...sections(entries, rows, own),
      ...(budgets.some((b) => b.trainings + b.noisyCounts > 0) ? [] : ["no accounted access: there is no epsilon", ""]),
      ...budgets.flatMap(budgetLines),
      stateOf(verification),
    ].join("\n");
    return { json: { entries, budgets, run, ledger: path, ...verification }, text, exitCode: exitOf(verification) };
  },
});

/** One table for each cohort, or the table alone where there is only one. */
function sections(
  entries: readonly LedgerEntry[],
  rows: readonly LedgerRow[],
  own: ReadonlySet<string> | null,
): string[] {
  const cohorts = [...new Set(entries.map((entry) => entry.cohortFingerprint))];
  return cohorts.flatMap((cohort) => {
    const here = rows.filter((row) => (row.cohortFingerprint ?? undefined) === cohort);
    return [
      ...(cohorts.length > 1 ? [cohort === undefined ? "no cohort" : `cohort ${cohort.slice(0, 12)}`] : []),
      table([
        ["entry", "when", "run", "patients", "access", "epsilon", "then in all", "what"],
        ...here.map((row) => [
          `${own !== null && row.run !== null && own.has(row.run) ? "*" : " "}${row.index}`,
          row.at?.slice(0, 16).replace("T", " ") ?? "",
          row.run ?? "",
          row.splits?.join(" ") ?? "all",
          words[row.access],
          row.epsilon === null ? "" : significantUp(row.epsilon),
          row.cumulative === null ? "" : significantUp(row.cumulative.epsilon),
          row.sentence,
        ]),
      ]),
      "",
    ];
  });
}

function budgetLines({ cohortFingerprint, unit, epsilon, delta, relation, splits, budget, warnings }: LedgerBudget) {
  const but = styled("yellow", "but", process.stdout);
  const fits = budget?.fits ?? null;
  const rest = fits === null ? "nothing more fits" : `one more access of about epsilon ${fits} would fit`;
  return [
    `cohort ${cohortFingerprint.slice(0, 12)}: epsilon ${significantUp(epsilon.upper)} at delta ${significant(delta)} for each ${unit} (${relation})`,
    ...(splits.length > 1
      ? splits.map((s) => `  patients of ${s.split ?? "all splits"}: epsilon ${significantUp(s.epsilon.upper)}`)
      : []),
    ...(budget
      ? [
          `  budget: epsilon ${significant(budget.epsilon)} at delta ${significant(budget.delta)}, of which ${significantUp(budget.spent)} is spent; ${rest}`,
        ]
      : ["  no budget was set: nothing stops further use (leadglass ledger budget)"]),
    ...warnings.map((warning) => `  ${but} ${warning}`),
    "",
  ];
}

export const ledgerVerify = command({
  name: "ledger verify",
  about:
    "Checks that nothing was changed: the numbering and chain of a ledger, that every cost is what its plan costs and passed no budget; of a run also its plan, settings, results and parameters, and that its cohort's ledger still holds everything that the run remembers. Keep the last hash elsewhere to see even a forgery of all copies.",
  positionals: ["RUN"],
  options: {},
  notes: "Takes a run or a ledger file. Exits with 4 where something was changed.",
  examples: ["leadglass ledger verify runs/private"],
  async run(_options, _terminal, [place]) {
    const { entries, verification, run, path } = await shown(place!);
    const lastHash = entries.at(-1)?.hash ?? null;
    return {
      json: { entries, run, ledger: path, ...verification, lastHash },
      text: [stateOf(verification), `${entries.length} entries; the last hash is ${lastHash ?? "none"}`].join("\n"),
      exitCode: exitOf(verification),
    };
  },
});

const exitOf = ({ valid }: { readonly valid: boolean }): number => (valid ? 0 : 4);

function stateOf({ valid, problems }: { valid: boolean; problems: readonly LedgerProblem[] }): string {
  if (valid) return "valid: nothing was changed";
  return [
    `${styled("red", "NOT VALID", process.stdout)}`,
    ...problems.map(({ index, message }) => `  entry ${index}: ${message}`),
  ].join("\n");
}
