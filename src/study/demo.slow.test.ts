import { mkdtemp, readFile, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseHTML } from "linkedom";
import sharp from "sharp";
import { afterAll, expect, it } from "vitest";
import { runDemo } from "./demo.ts";

const root = await mkdtemp(join(tmpdir(), "leadglass-demo-"));
afterAll(() => rm(root, { recursive: true, force: true }));

it("demo_tellsTheWholeStoryInUnderThreeMinutes", async () => {
  const report = await runDemo({ out: join(root, "demo"), patients: 360 });
  expect(report.seconds).toBeLessThan(180);
  expect(report.arms.map((arm) => arm.name)).toEqual(["no privacy", "epsilon 8", "epsilon 1"]);
  const [open, eight, one] = report.arms;
  // Four demos gave .86 to .87 without privacy and .82 to .89 at epsilon 8; the noise is fresh each time.
  expect(open!.metrics["malignant"]!.auroc.value).toBeGreaterThan(0.75);
  expect(eight!.metrics["malignant"]!.auroc.value).toBeGreaterThan(0.7);
  expect(open!.privacy).toBeNull();
  expect(eight!.privacy!.epsilon).toBeLessThanOrEqual(8);
  expect(one!.privacy!.epsilon).toBeLessThanOrEqual(1);
  expect(one!.attacker!.truePositiveRate).toBeLessThan(eight!.attacker!.truePositiveRate);
  const { document } = parseHTML(await readFile(report.report, "utf8"));
  expect(document.querySelectorAll("svg")).toHaveLength(2);
  expect(document.querySelectorAll("img[src^='data:image/png']")).toHaveLength(2);
  for (const figure of report.figures) expect((await stat(figure)).size).toBeGreaterThan(1000);
  for (const figure of report.figures.filter((name) => name.endsWith(".png")))
    expect((await sharp(figure).metadata()).width).toBeGreaterThan(700);
});
