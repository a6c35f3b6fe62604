import { parseHTML } from "linkedom";
import { describe, expect, it } from "vitest";
import { themed } from "./chart-style.ts";
import { tradeOffChart, type TradeOffArm } from "./trade-off-chart.ts";

const interval = (value: number | null, low: number | null = null, high: number | null = null) => ({
  value,
  low,
  high,
});
const kinds = ["without privacy", "private training", "private encodings", "synthetic images"];
const y = { label: "AUROC", reference: 0.5, referenceName: "guessing" };
const promised = { label: "proven epsilon", scale: "log", without: "no proof", side: "right" } as const;
const measured = { label: "best attack", scale: "share", without: "not attacked", side: "left" } as const;

const arms: TradeOffArm[] = [
  { mark: "A", kind: kinds[0]!, utility: interval(0.86, 0.75, 0.92), x: interval(0.12, 0.02, 0.3) },
  { mark: "B", kind: kinds[1]!, utility: interval(0.84, 0.74, 0.91), x: interval(0.05, 0, 0.2) },
  { mark: "C", kind: kinds[2]!, utility: interval(0.83, 0.72, 0.9), x: interval(0.98, 0.93, 1) },
  { mark: "D", kind: kinds[3]!, utility: interval(0.8, 0.7, 0.88), x: null },
  { mark: "E", kind: kinds[3]!, utility: interval(null), x: null },
];
const proven = arms.map((arm) => ({ ...arm, x: arm.mark === "B" ? interval(8) : null }));

const parse = (svg: string) => parseHTML(`<html><body>${svg}</body></html>`).document.querySelector("svg")!;

describe("tradeOffChart", () => {
  it("looksAsItDid", async () => {
    const promise = tradeOffChart(proven, { kinds, title: "What a proof promises", x: promised, y });
    await expect(promise).toMatchFileSnapshot("./snapshots/trade-off-promised.svg");
    const measurement = tradeOffChart(arms, { kinds, title: "What attacks got", x: measured, y });
    await expect(measurement).toMatchFileSnapshot("./snapshots/trade-off-measured.svg");
  });

  it("saysEveryArmsNumbersToThoseWhoCannotSee", () => {
    const description = parse(tradeOffChart(arms, { kinds, x: measured, y })).querySelector("desc")!.textContent;
    expect(description).toContain("A (without privacy): AUROC 0.86 [0.75, 0.92], best attack 0.12 [0.02, 0.30].");
    expect(description).toContain("D (synthetic images): AUROC 0.80 [0.70, 0.88], best attack not attacked.");
    expect(description).not.toContain("E (");
  });

  it.each([
    ["left", 0, 54 + 0.2 * 330],
    ["right", 54 + 0.8 * 330, 400],
  ] as const)("armsWithoutANumber_standInTheBand_%s", (side, from, to) => {
    const svg = tradeOffChart(arms, { kinds, x: { ...measured, side }, y });
    const mark = [...parse(svg).querySelectorAll("text")].find(({ textContent }) => textContent === "D")!;
    const left = Number(/translate\((-?[\d.]+)/.exec(mark.getAttribute("transform")!)![1]);
    expect(left).toBeGreaterThan(from);
    expect(left).toBeLessThan(to);
    expect(svg).not.toMatch(/NaN|undefined/);
  });

  it("nothingToDraw_isRefused", () => {
    expect(() => tradeOffChart([arms[4]!], { kinds, x: measured, y })).toThrow(
      expect.objectContaining({ code: "LG-EVAL-006" }),
    );
  });
});

describe("themed", () => {
  it("coloursOfThePage_replaceAllOfTheChart_andFallBackOnThem", () => {
    const svg = tradeOffChart(arms, { kinds, x: measured, y });
    const own = new Set(svg.match(/#[0-9a-f]{6}/g));
    const left = themed(svg).match(/(fill|stroke)="#[0-9a-f]{6}"/g);
    expect(own.size).toBeGreaterThan(6);
    expect(left).toBeNull();
    expect(themed(svg).replace(/var\(--[a-z0-9-]+, (#[0-9a-f]{6})\)/g, "$1")).toBe(svg);
  });
});
