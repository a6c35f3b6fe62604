import fc from "fast-check";
import { parseHTML } from "linkedom";
import { describe, expect, it } from "vitest";
import { seededRandom } from "../math/random.ts";
import { textWidth, wrapText } from "./chart-style.ts";
import { groupMetricRows, intervalChart, metricRows, rocChart, type IntervalRow } from "./charts.ts";
import { evaluateScores } from "./evaluate.ts";

/** Three models on 240 images of 120 patients; the young are too few to evaluate. */
function makeModels() {
  const random = seededRandom(4, "charts.test");
  const labels = Array.from({ length: 240 }, () => (random.uniform() < 0.4 ? 1 : 0));
  const groups = {
    sex: labels.map((_, i) => (i % 6 < 2 ? "M" : "F")),
    age: labels.map((_, i) => (i < 10 ? 20 : 35 + (i % 40))),
  };
  const patients = labels.map((_, i) => i >> 1);
  return [1.6, 0.9, 0.4].map((shift, k) => {
    const scores = labels.map((label) => 1 / (1 + Math.exp(-(random.gaussian() + shift * (label - 0.5)))));
    const evaluation = evaluateScores({ scores, labels, patients, groups, threshold: 0.5, seed: 1, resamples: 200 });
    return {
      model: ["Without privacy", "Private, ε = 8", "Private, ε = 1"][k]!,
      ...{ scores, labels, evaluation, auroc: evaluation.auroc, threshold: 0.5 },
    };
  });
}

const models = makeModels();
const parse = (svg: string) => parseHTML(`<html><body>${svg}</body></html>`).document.querySelector("svg")!;

interface Box {
  text: string;
  left: number;
  right: number;
  top: number;
  bottom: number;
}

/** Where the upright texts of a chart lie, as wide as the font that is the widest of its kind makes them. */
function textBoxes(svg: string): Box[] {
  const translation = (element: Element) => {
    const found = /translate\((-?[\d.]+)(?:,(-?[\d.]+))?\)/.exec(element.getAttribute("transform") ?? "");
    return [Number(found?.[1] ?? 0), Number(found?.[2] ?? 0)] as const;
  };
  const inherited = (element: Element, name: string): string =>
    element.getAttribute(name) ?? (element.parentElement ? inherited(element.parentElement, name) : "");
  return [...parse(svg).querySelectorAll("text")]
    .filter((element) => !(element.getAttribute("transform") ?? "").includes("rotate"))
    .map((element) => {
      const [[x, y], [dx, dy]] = [translation(element), translation(element.parentElement!)];
      const text = element.textContent;
      const size = Number(inherited(element, "font-size").replace("px", ""));
      const width = textWidth(text, size, { bold: inherited(element, "font-weight") === "bold" });
      const anchor = { start: 0, middle: 0.5, end: 1 }[inherited(element, "text-anchor") || "start"]!;
      // A baseline of .32em stands for centred, .71em for hanging; capitals and descenders take about .9 of the size.
      const centre = y + dy + (element.getAttribute("y") === "0.71em" ? 0.36 * size : 0);
      const left = x + dx - anchor * width;
      return { text, left, right: left + width, top: centre - 0.45 * size, bottom: centre + 0.45 * size };
    });
}

function expectReadable(svg: string) {
  const root = parse(svg);
  const [width, height] = ["width", "height"].map((name) => Number(root.getAttribute(name)));
  const boxes = textBoxes(svg);
  expect(boxes.length).toBeGreaterThan(8);
  boxes.forEach((a, i) => {
    expect(a.left >= 0 && a.right <= width! + 0.5 && a.top >= 0 && a.bottom <= height!, `inside: ${a.text}`).toBe(true);
    for (const b of boxes.slice(i + 1)) {
      const apart = a.right <= b.left || b.right <= a.left || a.bottom <= b.top + 0.5 || b.bottom <= a.top + 0.5;
      expect(apart, `apart: ${a.text} | ${b.text}`).toBe(true);
    }
  });
}

const charts = {
  roc: () => rocChart(models, { title: "Malignant masses: 240 images, 120 patients" }),
  metrics: () => intervalChart(metricRows(models), { title: "With and without privacy: 240 images, 120 patients" }),
  groups: () => intervalChart(groupMetricRows(models, "auroc"), { title: "AUROC by group", axis: "AUROC" }),
  "groups-narrow": () =>
    intervalChart(groupMetricRows(models, "auroc"), { title: "AUROC by group", axis: "AUROC", width: 350 }),
};

describe.each(Object.entries(charts))("%s chart", (name, draw) => {
  it("looksAsItDid", async () => {
    await expect(draw()).toMatchFileSnapshot(`./snapshots/${name}.svg`);
  });

  it("isReadable_andTheSameEveryTime", () => {
    expectReadable(draw());
    expect(draw()).toBe(draw());
  });

  it("isASelfContainedSvg", () => {
    const svg = draw();
    expect(svg).toMatch(/^<svg [^>]*xmlns="http:\/\/www\.w3\.org\/2000\/svg"/);
    // NaN in an attribute is a mark that no program draws.
    expect(svg).not.toMatch(/NaN|undefined|<style|href=/);
  });
});

const names = fc.uniqueArray(
  fc.oneof(
    fc.constantFrom("W", "chance", "Private training with ε = 8, δ = 0.0001 and the views of each patient averaged"),
    fc
      .string({ unit: fc.constantFrom(..."aeimnorstW 8&<"), minLength: 1, maxLength: 120, size: "max" })
      .filter((s) => s.trim() !== ""),
  ),
  { minLength: 1, maxLength: 6 },
);

describe("labels of any length", () => {
  it("rocChart_neverOverlaps", () => {
    fc.assert(
      fc.property(
        names,
        fc.string({ unit: fc.constantFrom("a", "M", " "), maxLength: 120, size: "max" }),
        (each, title) => {
          const { scores, labels, auroc } = models[0]!;
          expectReadable(
            rocChart(
              each.map((model) => ({ model, scores, labels, auroc })),
              { title },
            ),
          );
        },
      ),
      { numRuns: 30 },
    );
  });

  it("intervalChart_neverOverlaps", () => {
    fc.assert(
      fc.property(names, names, fc.constantFrom(680, 350), (labels, each, width) => {
        const rows = labels.flatMap((label, i) =>
          each.map((model): IntervalRow => {
            const estimate = i === 1 ? { value: null, low: null, high: null } : { value: 0.7, low: 0.6, high: 0.8 };
            return { label, detail: label, model, ...estimate, reason: "only negatives", reference: 0.6 };
          }),
        );
        expectReadable(intervalChart(rows, { title: labels.join(" "), axis: "AUROC", width }));
      }),
      { numRuns: 30 },
    );
  });

  it("wrapText_losesNothingAndStaysWithinTheWidth", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 100, size: "max" }), fc.integer({ min: 30, max: 300 }), (text, width) => {
        const lines = wrapText(text, width, 12);
        expect(lines.join("").replace(/\s/g, "")).toBe(text.replace(/\s/g, ""));
        for (const line of lines) expect(textWidth(line, 12)).toBeLessThanOrEqual(width);
      }),
    );
  });
});

describe("what a chart says", () => {
  it("aRowWithoutAValue_showsItsReason_andOneWithoutAnIntervalSaysSo", () => {
    const svg = intervalChart([
      { label: "A", model: "m", value: null, low: null, high: null, reason: "only negatives" },
      { label: "B", model: "m", value: 1, low: null, high: null },
      { label: "C", model: "m", value: 0.5, low: 0.41, high: 0.6 },
    ]);
    const texts = textBoxes(svg).map(({ text }) => text);
    expect(texts).toEqual(expect.arrayContaining(["only negatives", "1.00 [no interval]", "0.50 [0.41, 0.60]"]));
  });

  it("rows_matchTheEvaluationTheyComeFrom", () => {
    const { evaluation, model } = models[1]!;
    const { auprc, prevalence } = evaluation;
    expect(metricRows([models[1]!], ["auprc"])).toEqual([
      {
        ...{ label: "AUPRC", detail: `prevalence ${prevalence!.toFixed(2)}`, model, reference: prevalence },
        ...{ value: auprc.value, low: auprc.low, high: auprc.high, reason: undefined },
      },
    ]);
    const group = evaluation.groups[0]!;
    expect(groupMetricRows([models[1]!], "auroc")[0]).toMatchObject({
      ...{ label: "sex: F", detail: `${group.patients} patients, ${group.positives}/${group.n} positive` },
      ...{ value: group.auroc.value, reference: 0.5 },
    });
  });

  it("modelsWithinAChart_differInColourAndInDashOrSymbol", () => {
    const six = Array.from({ length: 6 }, (_, k) => ({ ...models[0]!, model: `${k}` }));
    const curves = [...parse(rocChart(six)).querySelectorAll("[data-mark=line]")];
    const distinct = (name: string) => new Set(curves.map((curve) => curve.getAttribute(name) ?? "solid")).size;
    expect([curves.length, distinct("stroke"), distinct("stroke-dasharray")]).toEqual([6, 6, 6]);
  });

  it.each([
    ["no model", () => rocChart([])],
    ["no row", () => intervalChart([])],
    ["seven models", () => rocChart(Array.from({ length: 7 }, (_, k) => ({ ...models[0]!, model: `${k}` })))],
    ["two models of one name", () => rocChart([models[0]!, models[0]!])],
    ["a curve of one class", () => rocChart([{ ...models[0]!, labels: models[0]!.labels.map(() => 1) }])],
  ])("isRefused: %s", (_, draw) => {
    expect(draw).toThrow(expect.objectContaining({ code: "LG-EVAL-006" }));
  });
});
