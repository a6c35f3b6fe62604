import { describe, expect, it } from "vitest";
import { reliability } from "./calibration.ts";
import { historyChart, precisionRecallChart, reliabilityChart, trendChart } from "./curve-charts.ts";

const point = (at: string, value: number | null) => ({
  at,
  value,
  low: value === null ? null : value - 0.1,
  high: value === null ? null : value + 0.1,
});

describe("trendChart", () => {
  it("hasAMarkForEveryKnownPoint_andNoneForAnUnknownOne", () => {
    const lines = [{ name: "all", points: [point("1", 0.6), point("8", null), point("none", 0.8)] }];
    const svg = trendChart(lines, { title: "t", x: "epsilon", y: "AUROC" });
    // Two points, and the sample in the key.
    expect(svg.match(/stroke-width="0.8"/g)).toHaveLength(2);
    expect(svg).toContain(">none</text>");
    expect(svg).not.toContain("NaN");
  });
  it.each([
    ["no line", []],
    ["two of one name", ["a", "a"]],
    ["seven lines", [..."abcdefg"]],
  ])("%s_isRefused", (_, names) => {
    const lines = names.map((name) => ({ name, points: [point("1", 0.5)] }));
    expect(() => trendChart(lines, { x: "x", y: "y" })).toThrow(expect.objectContaining({ code: "LG-EVAL-006" }));
  });
});

it("precisionRecallChart_saysThePrevalence_andRefusesAModelWithoutPositives", () => {
  const scores = [0.1, 0.4, 0.8, 0.9];
  expect(precisionRecallChart([{ model: "m", scores, labels: [0, 1, NaN, 1] }])).toContain("prevalence 0.67");
  expect(() => precisionRecallChart([{ model: "m", scores, labels: [0, 0, 0, 0] }])).toThrow(
    expect.objectContaining({ code: "LG-EVAL-006" }),
  );
});

it("reliabilityChart_drawsFilledBinsOnly", () => {
  const drawn = (scores: number[], labels: number[]) =>
    reliabilityChart([{ model: "m", reliability: reliability(scores, labels) }]).match(/<path|<circle|<line/g)!.length;
  // Another filled bin is a bar and a dot more.
  expect(drawn([0.05, 0.55, 0.95], [0, 1, 1]) - drawn([0.05, 0.06, 0.95], [0, 0, 1])).toBe(2);
});

it("historyChart_saysWhereLinesEnd_andRefusesLinesOfOnePoint", () => {
  const points = [4, 2, 1].map((value, at) => ({ at, value }));
  const svg = historyChart([{ name: "loss", points }], { x: "step", y: "loss" });
  expect(svg).toContain("<desc>loss ends at 1.00.</desc>");
  expect(svg).not.toContain("NaN");
  expect(() => historyChart([{ name: "loss", points: points.slice(1, 2) }], { x: "step", y: "loss" })).toThrow(
    expect.objectContaining({ code: "LG-EVAL-006" }),
  );
});
