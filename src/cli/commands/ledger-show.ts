import { summariseLedger, type LedgerProblem } from "../../privacy/index.ts";
import { readLedger } from "../../study/run-folder.ts";
import { command } from "../command.ts";
import { significant, significantUp, styled, table } from "../output.ts";

export const ledgerShow = command({
  name: "ledger show",
  about: "Shows every access of a run to private data, in words, and what was spent on each cohort.",
  positionals: ["RUN"],
  options: {},
  notes: "Exits with 4 where the ledger was changed after it was written.",
  examples: ["leadglass ledger show runs/private"],
  async run(_options, _terminal, [run]) {
    const { entries, verification } = await readLedger(run!);
    const { rows, budgets } = summariseLedger(entries);
    const words = { accounted: "accounted", public: "public", "not accounted": "NOT ACCOUNTED" } as const;
    const text = [
      table([["entry", "access", "what"], ...rows.map((r) => [String(r.index), words[r.access], r.sentence])]),
      "",
      ...(budgets.length === 0 ? ["no accounted access: there is no epsilon"] : []),
      ...budgets.flatMap((b) => [
        `cohort ${b.cohortFingerprint.slice(0, 12)}: epsilon ${significantUp(b.epsilon.upper)} at delta ${significant(b.delta)} for each ${b.unit} (${b.relation})`,
        ...b.warnings.map((warning) => `  ${styled("yellow", "but", process.stdout)} ${warning}`),
      ]),
      "",
      stateOf(verification),
    ].join("\n");
    return { json: { entries, budgets, ...verification }, text, exitCode: verification.valid ? 0 : 4 };
  },
});

export const ledgerVerify = command({
  name: "ledger verify",
  about:
    "Checks that a run's ledger is whole: numbering, the chain of hashes, and that every cost is what its plan costs. Entries cut off the end do not show in a chain; compare the last hash with one you kept.",
  positionals: ["RUN"],
  options: {},
  notes: "Exits with 4 where something was changed.",
  examples: ["leadglass ledger verify runs/private"],
  async run(_options, _terminal, [run]) {
    const { entries, verification } = await readLedger(run!);
    const lastHash = entries.at(-1)?.hash ?? null;
    return {
      json: { entries, ...verification, lastHash },
      text: [stateOf(verification), `${entries.length} entries; the last hash is ${lastHash ?? "none"}`].join("\n"),
      exitCode: verification.valid ? 0 : 4,
    };
  },
});

function stateOf({ valid, problems }: { valid: boolean; problems: readonly LedgerProblem[] }): string {
  if (valid) return "valid: nothing was changed";
  return [
    `${styled("red", "NOT VALID", process.stdout)}`,
    ...problems.map(({ index, message }) => `  entry ${index}: ${message}`),
  ].join("\n");
}
