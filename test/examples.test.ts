import { execFile, spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";
import { meanOverSeeds, writeRows, type ResultRow } from "../src/study/results/index.ts";

const path = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));

/** A Python that has DuckDB, where there is one. */
const python = [process.env["LEADGLASS_PYTHON"] ?? "python3"].find(
  (name) => spawnSync(name, ["-c", "import duckdb"]).status === 0,
);

describe("examples", () => {
  it.skipIf(python === undefined)("readResults_showsTheMeansOfTheReport: needs Python with duckdb", async () => {
    const folder = await mkdtemp(join(tmpdir(), "leadglass-example-"));
    try {
      const row = (of: Partial<ResultRow>): ResultRow => ({
        ...{ study: "s", arm: "open", seed: 1, cohort: "c", split: "test", target: "t", group: null, metric: "auroc" },
        ...{ value: 0.8, low: 0.7, high: 0.9, images: 9, patients: 9, epsilon: null, delta: null, attack: null },
        ...{ chance: null, ledgerEntry: null, file: "work/evaluate-1/done.json" },
        ...of,
      });
      const seeds = [row({}), row({ seed: 2, value: 0.7, low: 0.55, high: 0.85 }), row({ seed: 3, value: null, low: null, high: null })]; // prettier-ignore
      await writeRows(join(folder, "results.parquet"), [
        ...seeds,
        ...[
          row({ group: "sex=F", value: 0.9 }),
          row({ group: "sex=M", value: 0.6 }),
          row({ metric: "brier", value: 0.2 }),
        ],
        row({ arm: "private", value: 0.65, low: 0.6, high: 0.7, epsilon: 7.9951, delta: 1e-4 }),
        row({
          metric: "attack success",
          seed: null,
          target: null,
          attack: "membership, loss",
          value: 0.75,
          chance: 0.5,
        }),
      ]);
      const { stdout } = await promisify(execFile)(python!, [path("examples/read_results.py"), folder]);
      const { value, low, high } = meanOverSeeds(seeds)!;
      expect(stdout.trim().split("\n")).toEqual([
        `t: open (nothing proven): AUROC ${value.toFixed(3)} [${low!.toFixed(3)}, ${high!.toFixed(3)}], 2 seeds`,
        "t: private (epsilon 7.995): AUROC 0.650 [0.600, 0.700], 1 seeds",
        "t: open does worst for sex=M: AUROC 0.600",
        // Half of what there is between guessing and certainty.
        "open: membership, loss right in 0.750, by guessing 0.500: gain 0.500",
      ]);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("trainPrivately_staysWithinItsBudget", { timeout: 300_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), "leadglass-example-"));
    try {
      const { stdout } = await promisify(execFile)(process.execPath, [path("examples/train-privately.ts"), folder]);
      const numbers = /^epsilon (\S+) at delta (\S+) for each patient$/m.exec(stdout);
      // Of 240 patients 70 % are trained on, and delta is a power of ten below a tenth of one over their number.
      expect(Number(numbers![2])).toBe(1e-4);
      expect(Number(numbers![1])).toBeGreaterThan(7.9);
      expect(Number(numbers![1])).toBeLessThanOrEqual(8);
      expect(stdout).toMatch(/^test AUROC 0\.\d+ \[0\.\d+, (0\.\d+|1)\] on \d+ patients$/m);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("privateSearch_statesWhatTheWholeSearchCosts", { timeout: 600_000 }, async () => {
    const folder = await mkdtemp(join(tmpdir(), "leadglass-example-"));
    try {
      // One and a half trainings on average: more than eight in 2 of 10,000 cases.
      const { stdout } = await promisify(execFile)(process.execPath, [
        path("examples/private-search.ts"),
        folder,
        "1.5",
      ]);
      const [whole, one] = [/^epsilon of the search (\S+) at delta 0.0001/m, /^epsilon of one training (\S+)$/m].map(
        (line) => Number(line.exec(stdout)![1]),
      );
      expect(whole).toBeGreaterThan(7.999);
      expect(whole).toBeLessThanOrEqual(8);
      expect(one).toBeLessThan(whole!);
      // What is kept is one run, and nothing that tells how many there were.
      expect((await readdir(folder)).sort()).toEqual(expect.arrayContaining(["best", "cohort", "public"]));
      expect(await readdir(folder)).not.toContain("tried");
      expect(stdout).toMatch(/^AUROC on public patients (0\.\d+|1): /m);
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  });

  it("readme_showsTheExampleThatIsRun", async () => {
    const [readme, example] = await Promise.all(
      ["README.md", "examples/train-privately.ts"].map((f) => readFile(path(f), "utf8")),
    );
    const [, ...code] = example!.replace("../src/index.ts", "leadglass").split("\n");
    expect(readme).toContain(`\`\`\`ts\n${code.join("\n").trim()}\n\`\`\``);
  });
});
