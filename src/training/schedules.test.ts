import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { learningRateAt, type Schedule } from "./schedules.ts";

const ratesOf = (schedule: Schedule, total: number, peak = 1): number[] =>
  Array.from({ length: total }, (_, step) => learningRateAt(schedule, step, total, peak));

const anySchedule: fc.Arbitrary<Schedule> = fc.oneof(
  fc.record({ kind: fc.constant("constant" as const), warmupSteps: fc.nat(10) }),
  fc.record({ kind: fc.constant("linear" as const), warmupSteps: fc.nat(10) }),
  fc.record({
    kind: fc.constant("cosine" as const),
    floor: fc.double({ min: 0, max: 1, noNaN: true }),
    warmupFraction: fc.double({ min: 0, max: 1, noNaN: true }),
  }),
);

describe("learningRateAt", () => {
  // By hand from the definitions: warm-up (i + 1) / 4, then 1 - i / 4 or (1 + cos(pi i / 4)) / 2.
  it.each<[string, Schedule, number[]]>([
    ["constant", { kind: "constant" }, [1, 1, 1, 1]],
    ["constant after warm-up", { kind: "constant", warmupSteps: 3 }, [0.25, 0.5, 0.75, 1, 1]],
    ["linear", { kind: "linear" }, [1, 0.75, 0.5, 0.25]],
    ["linear after warm-up", { kind: "linear", warmupSteps: 3 }, [0.25, 0.5, 0.75, 1, 0.75, 0.5, 0.25]],
    ["linear after a warm-up of a fraction", { kind: "linear", warmupFraction: 0.5 }, [1 / 3, 2 / 3, 1, 0.5]],
    ["cosine", { kind: "cosine" }, [1, (1 + Math.SQRT1_2) / 2, 0.5, (1 - Math.SQRT1_2) / 2]],
    [
      "cosine above a floor",
      { kind: "cosine", floor: 0.5 },
      [1, 0.75 + Math.SQRT1_2 / 4, 0.75, 0.75 - Math.SQRT1_2 / 4],
    ],
    ["nothing but warm-up", { kind: "cosine", warmupFraction: 1 }, [0.25, 0.5, 0.75]],
  ])("hasTheseRates: %s", (_, schedule, expected) => {
    const rates = ratesOf(schedule, expected.length);
    rates.forEach((rate, i) => expect(rate).toBeCloseTo(expected[i]!, 15));
  });

  it("rises_thenFalls_withinTheFloorAndThePeak_andIsNeverZero", () => {
    fc.assert(
      fc.property(anySchedule, fc.integer({ min: 10, max: 200 }), (schedule, total) => {
        const rates = ratesOf(schedule, total, 3);
        const warmup = schedule.warmupSteps ?? Math.round((schedule.warmupFraction ?? 0) * total);
        rates.slice(1).forEach((rate, i) => {
          if (i + 1 <= warmup) expect(rate).toBeGreaterThan(rates[i]!);
          // Equal, or lower; cosines of neighbours may round the other way.
          else expect(rate).toBeLessThanOrEqual(rates[i]! * (1 + 1e-15));
        });
        if (warmup < total) expect(rates[warmup]).toBe(3);
        const floor = schedule.kind === "cosine" ? (schedule.floor ?? 0) : 0;
        for (const rate of rates.slice(warmup)) expect(rate).toBeGreaterThanOrEqual(3 * floor * (1 - 1e-15));
        for (const rate of rates) expect(rate).toBeGreaterThan(0);
      }),
    );
  });

  it("lastStep_isOneStepAboveTheFloor", () => {
    // 1 - 999 / 1000
    expect(learningRateAt({ kind: "linear" }, 999, 1000)).toBeCloseTo(1e-3, 12);
    // 0.1 + 0.9 (1 + cos(pi 999 / 1000)) / 2 = 0.1 + 0.9 x 2.467e-6
    expect(learningRateAt({ kind: "cosine", floor: 0.1 }, 999, 1000)).toBeCloseTo(0.1 + 0.9 * 2.467e-6, 8);
  });

  it.each<[string, Schedule, number, number, string]>([
    ["a step past the end", { kind: "constant" }, 10, 10, "step 10 of 10"],
    ["a step before the start", { kind: "constant" }, -1, 10, "step -1 of 10"],
    ["half a step", { kind: "constant" }, 0.5, 10, "step 0.5 of 10"],
    ["endless steps", { kind: "constant" }, 0, Infinity, "step 0 of Infinity"],
    ["an unknown kind", { kind: "step" as "linear" }, 0, 10, "none called step; expected constant, linear, cosine"],
    ["two warm-ups", { kind: "linear", warmupSteps: 1, warmupFraction: 0.1 }, 0, 10, "both given"],
    ["a warm-up longer than the run", { kind: "linear", warmupSteps: 11 }, 0, 10, "warmupSteps is 11; expected a whole number from 0 to the 10"], // prettier-ignore
    ["a fraction above one", { kind: "linear", warmupFraction: 1.1 }, 0, 10, "warmupFraction is 1.1"],
    ["a floor above the peak", { kind: "cosine", floor: 2 }, 0, 10, "floor is 2"],
  ])("isRefused: %s", (_, schedule, step, total, message) => {
    expect(() => learningRateAt(schedule, step, total)).toThrow(
      expect.objectContaining({ code: "LG-TRAIN-003", message: expect.stringContaining(message) as string }) as Error,
    );
  });
});
