import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, it } from "vitest";

const path = (name: string): string => fileURLToPath(new URL(`../${name}`, import.meta.url));

describe("examples", () => {
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
