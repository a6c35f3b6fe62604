import { checkCohort, cohortOverlap, openCohort, type CohortCheck, type Problem } from "../../cohort/index.ts";
import { command, type Terminal } from "../command.ts";
import { count, styled, table } from "../output.ts";

export const cohortCheck = command({
  name: "cohort check",
  about:
    "Reads every image of a cohort once: counts by split, label, sex and age, and everything that is wrong, with its place and remedy.",
  positionals: ["DIR"],
  options: {
    against: {
      kind: "text",
      value: "OTHER",
      about: "also look for patients that are in this other cohort, by name and by nearly identical images",
    },
    "show-names": { kind: "flag", about: "name files in messages; a file name may hold a record number" },
  },
  notes:
    "Exits with 3 where something keeps the cohort from being used. Small counts identify people: keep the output.",
  examples: ["leadglass cohort check masses"],
  async run({ against, "show-names": showNames }, terminal, [dir]) {
    using progress = terminal.progress("reading", "images", { leave: true });
    const own = await checkCohort(dir!, { showNames, signal: terminal.signal, onProgress: progress.update });
    progress[Symbol.dispose]();
    const usable = own.problems.every(({ severity }) => severity !== "error");
    const shared = against !== undefined && usable ? await sharedProblems(dir!, against, terminal) : [];
    const check = { ...own, problems: [...shared, ...own.problems] };
    const errors = check.problems.filter(({ severity }) => severity === "error").length;
    return { json: check, text: textOf(check, errors), exitCode: errors > 0 ? 3 : 0 };
  },
});

/** What two cohorts have in common, as errors: a patient of both is no stranger to a model of the other. */
async function sharedProblems(dir: string, against: string, terminal: Terminal): Promise<Problem[]> {
  const [own, other] = [await openCohort(dir), await openCohort(against)];
  using progress = terminal.progress("comparing", "images");
  const { byIdentifier, pairs } = await cohortOverlap(own, other, { onProgress: progress.update });
  const problem = (message: string, remedy: string): Problem => ({
    ...{ code: "LG-COHORT-022", severity: "error", place: own.place, message, remedy },
  });
  return [
    ...(byIdentifier > 0
      ? [
          problem(
            `${byIdentifier} patients are in both cohorts by their identifier`,
            "Drop them from one, or treat both cohorts as one: what was learnt or published of one counts for the other.",
          ),
        ]
      : []),
    ...(pairs.length > 0
      ? [
          problem(
            `${pairs.length} pairs of nearly identical images under different patients; the first are data row ${pairs[0]!.rowA} here and ${pairs[0]!.rowB} there`,
            "Look at them: the same patient may have two identifiers.",
          ),
        ]
      : []),
  ];
}

function textOf(check: CohortCheck, errors: number): string {
  const splits = Object.keys(check.splits);
  const cells = (by: string, value: string) =>
    splits.map((split) => {
      const found = check.counts.find((c) => c.by === by && c.value === value && c.split === split);
      return found ? `${count(found.images)} (${count(found.patients)})` : "0 (0)";
    });
  const kinds = [...new Map(check.counts.map(({ by, value }) => [`${by}\n${value}`, [by, value] as const])).values()];
  const warnings = check.problems.length - errors;
  return [
    `${count(check.images)} images of ${count(check.patients)} patients`,
    "",
    table([
      ["images (patients)", "", ...splits],
      ["all", "", ...splits.map((s) => `${count(check.splits[s]!.images)} (${count(check.splits[s]!.patients)})`)],
      ...kinds.map(([by, value], i) => [kinds[i - 1]?.[0] === by ? "" : by, value, ...cells(by, value)]),
    ]),
    "",
    table([["format", "images"], ...Object.entries(check.formats).map(([format, n]) => [format, count(n)])]),
    "",
    ...check.problems.flatMap(lineOf),
    errors > 0
      ? `${errors} error${errors === 1 ? "" : "s"}, ${warnings} warning${warnings === 1 ? "" : "s"}`
      : warnings > 0
        ? `usable; ${warnings} warning${warnings === 1 ? "" : "s"}`
        : "nothing wrong was found",
  ].join("\n");
}

const lineOf = ({ code, severity, place, message, remedy }: Problem): string[] => [
  `${styled(severity === "error" ? "red" : "yellow", severity, process.stdout)}  ${code}  ${place}: ${message}`,
  `  ${remedy}`,
  "",
];
