import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseHTML } from "linkedom";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodePng } from "../../imaging/index.ts";
import { studyFiles, writeRows } from "../results/index.ts";
import { record, rows } from "./testing.ts";
import { writeReport, type StudyReport } from "./write-report.ts";

/** The first arm's first training kept its course; the second one's is gone. */
const withCurves = {
  ...record,
  arms: record.arms.map(
    (arm, i) =>
    i === 0 ? { ...arm, runs: arm.runs.map((run, k) => ({ ...run, curves: k === 0 ? "runs/course.jsonl" : "gone" })) } : arm, // prettier-ignore
  ),
};
const writeRecord = (own: typeof record) => writeFile(join(folder, studyFiles.record), JSON.stringify(own));

let folder = "";
let report: StudyReport;
let document: Document;
const textOf = (id: string): string => document.querySelector(`#${id}`)!.textContent.replace(/\s+/g, " ");

/** The cells of the first row that begins so. */
const rowOf = (id: string, first: string): string =>
  [...document.querySelectorAll(`#${id} tbody tr`)]
    .map((row) => [...row.children].map((cell) => cell.textContent.replace(/\s+/g, " ").trim()))
    .find(([head]) => head === first)!
    .join("|");

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "leadglass-report-"));
  await mkdir(join(folder, "pictures"));
  // Noise, which nothing compresses: the picture of the attack alone would fill the page.
  const noise = (side: number) =>
    Uint8Array.from({ length: side * side }, (_, i) => Math.imul(i + 1, 2654435761) >>> 24);
  const picture = (side: number) =>
    encodePng({ width: side, height: side, channels: 1, bitDepth: 8, data: noise(side) });
  await writeFile(join(folder, "pictures/matching.png"), await picture(1400));
  await writeFile(join(folder, "pictures/encoded.png"), await picture(200));
  await mkdir(join(folder, "runs"));
  const points = Array.from({ length: 40 }, (_, i) => JSON.stringify([i, 1 / (1 + i)]));
  await writeFile(join(folder, "runs/course.jsonl"), points.join("\n"));
  await writeRows(join(folder, studyFiles.results), rows);
  await writeRecord(withCurves);
  report = await writeReport(folder);
  document = parseHTML(await readFile(report.report, "utf8")).document as unknown as Document;
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe("writeReport", () => {
  it("thePage_loadsNothing_andIsSmall", async () => {
    const text = await readFile(report.report, "utf8");
    expect(document.querySelectorAll("script, link, iframe, object, embed, video, audio")).toHaveLength(0);
    const sources = [...document.querySelectorAll("[src], [href]")].map(
      (element) => element.getAttribute("src") ?? element.getAttribute("href")!,
    );
    expect(sources.length).toBeGreaterThan(8);
    for (const source of sources) expect(source).toMatch(/^(data:image\/(png|jpeg);base64,|#[a-z]+$)/);
    expect(text).not.toMatch(/url\(|@import/);
    expect(text.replace(/base64,[A-Za-z0-9+/=]+/g, "")).not.toMatch(/NaN|undefined|\[object/);
    expect(report.bytes).toBe((await stat(report.report)).size);
    expect(report.bytes).toBeLessThan(5 * 2 ** 20);
  });

  it("everyLinkOfTheContents_leadsSomewhere_andIdsAreUnique", () => {
    const ids = [...document.querySelectorAll("[id]")].map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const link of document.querySelectorAll("nav a")) expect(ids).toContain(link.getAttribute("href")!.slice(1));
  });

  it("aFailedArm_anArmWithoutPrivacy_aMissingGroup_andThreePositives_areShownAsWhatTheyAre", () => {
    expect(rowOf("arms", "G private generator")).toBe("G private generator|synthetic images failed||||");
    expect(textOf("arms")).toMatch(/LG-PRIVACY-002 the budget is spent\. Set a higher budget\./);
    expect(rowOf("arms", "A plain")).toMatch(
      /\|without privacy\|0\.85 \[0\.76, 0\.92\]\|0\.90 \[no interval\] confounded\|no proof\|/,
    );
    expect(rowOf("arms", "F pool")).toMatch(/\|not enough patients to tell\|no proof\|not attacked$/);
    expect(textOf("fairness")).toMatch(/no group has patients in these figures: site\./);
    expect(rowOf("fairness", "age: under 40")).toMatch(/\|4\|not enough patients to tell\|/);
    expect(rowOf("fairness", "age: 40 to 59")).toMatch(/\|suppressed\|suppressed: too few patients to be shown\|/);
    expect(rowOf("ledger", "1")).toBe("1|NOT ACCOUNTED|Figures on the test patients were shown.||");
    expect(textOf("attacks")).toMatch(/cannot be believed: its control held/);
    expect(textOf("attacks")).toMatch(/B epsilon 8: .* catches at most 80 % of those who were/);
    expect(textOf("answer")).toMatch(/catches more than 10 % of those C \(epsilon 1\) was trained on/);
    expect(textOf("shortcuts")).toMatch(/rare confounded/);
  });

  it("everyChart_hasANameAndADescriptionOrATableBeside", () => {
    const charts = [...document.querySelectorAll("svg[role=img]")];
    expect(charts.length).toBeGreaterThan(6);
    for (const chart of charts) expect(chart.querySelector("title")!.textContent).not.toBe("");
    for (const image of document.querySelectorAll("img")) expect(image.getAttribute("alt")!.length).toBeGreaterThan(10);
  });

  it("picturesThatAreGone_areNamedWithWhy", () => {
    expect(report.leftOut).toEqual([{ path: "pictures/gone.png", reason: "the file is gone" }]);
    expect(textOf("pictures")).toContain("pictures/gone.png is not shown here");
    // 1,400 pixels wide it was; the page gets no more than 960.
    expect(document.querySelector("#attacks img")!.getAttribute("width")).toBe("960");
  });

  it("theCourseOfATraining_isDrawnWhereItWasKept", () => {
    expect(textOf("training")).toContain("A plain");
    expect(document.querySelectorAll("#training svg")).toHaveLength(1);
  });

  it("aFolderWithoutAStudy_isRefusedWithItsPlace", async () => {
    await expect(writeReport(join(folder, "nothing"))).rejects.toThrow(
      expect.objectContaining({ code: "LG-STUDY-001", message: expect.stringContaining("study.json") as string }),
    );
  });

  it("picturesBeyondTheLimit_areLeftOut_andThePageStaysSmall", async () => {
    const many = Array.from({ length: 9 }, (_, i) => ({ path: `pictures/${i}.png`, title: `${i}`, about: "noise" }));
    for (const { path } of many)
      await writeFile(join(folder, path), await readFile(join(folder, "pictures/matching.png")));
    const arms = record.arms.map((arm) => (arm.name === "pool" ? { ...arm, pictures: many } : arm));
    await writeRecord({ ...record, arms });
    const large = await writeReport(folder);
    expect(large.bytes).toBeLessThan(5 * 2 ** 20);
    expect(large.leftOut.at(-1)!.reason).toBe("the page would become too large");
  });

  it("theJson_saysTheSame", async () => {
    const json = JSON.parse(await readFile(report.json, "utf8")) as { name: string; summary: { answer: unknown } };
    expect(json.name).toBe("made-up");
    expect(json.summary.answer).toEqual(report.answer);
  });
});
