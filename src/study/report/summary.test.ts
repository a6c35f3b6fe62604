import { describe, expect, it } from "vitest";
import { record, rows } from "./testing.ts";
import { epsilonText, summarise } from "./summary.ts";

const summary = summarise(record, rows);
const arm = (name: string) => summary.arms.find(({ arm }) => arm.name === name)!;
const said = (title: string) => summary.answer.parts.find((part) => part.title === title)!.sentences.join("\n");

describe("summarise", () => {
  it("seeds_areAveragedWithinTheOuterEndsOfTheirIntervals", () => {
    // Seeds .86 [.78, .92] and .84 [.76, .90].
    const { value, low, high, single } = arm("plain").auroc["malignant"]!;
    expect(value).toBeCloseTo(0.85, 12);
    expect(low).toBeCloseTo(0.76, 12);
    expect(high).toBeCloseTo(0.92, 12);
    expect(single).toEqual([0.86, 0.84]);
  });

  it("aTargetOfThreePositives_hasNoInterval_andIsNotGivenOne", () => {
    expect(arm("plain").auroc["rare"]).toMatchObject({ value: 0.9, low: null, high: null });
    expect(arm("pool").auroc["rare"]).toMatchObject({ value: null });
  });

  it("anAttackThatHeldItsControl_isNotCounted", () => {
    expect(arm("linear").worst).toBeNull();
    expect(arm("linear").attacks[0]!.shows).toBe("nothing");
    expect(said("What it gives away")).toContain("The attacks on E (linear) say nothing");
  });

  it("gain_isTheShareOfWhatCanBeGainedOverGuessing", () => {
    // (.61 - .5) / (1 - .5) and (.97 - .01) / (1 - .01).
    expect(arm("plain").worst!.gain.value).toBeCloseTo(0.22, 12);
    expect(arm("neuracrypt").worst!.gain.value).toBeCloseTo(0.96 / 0.99, 12);
    expect(arm("epsilon 8").worst!.shows).toBe("no success");
  });

  it("theHeadline_saysWhoQualifies_andOfWhomItCannotTell", () => {
    expect(summary.answer.headline).toEqual([
      "B (epsilon 8) meets all that was asked for.",
      "Of C (epsilon 1) this study cannot tell: its intervals are too wide, or something was not measured.",
    ]);
    const nobody = { ...record.decision!, arms: record.decision!.arms.filter(({ qualifies }) => qualifies === "no") };
    expect(summarise({ ...record, decision: nobody }, rows).answer.headline).toEqual([
      "No way of sharing is shown to meet all that was asked for.",
    ]);
    const { decision: _decision, ...without } = record;
    expect(summarise(without, rows).answer.headline).toEqual([
      "Attacks succeeded on A (plain) and D (neuracrypt), and on no other arm that was attacked.",
      "No constraints were given, so nothing is recommended.",
    ]);
  });

  it("armsAreCalledLowerOnlyWhereIntervalsDoNotMeet", () => {
    expect(said("What it costs")).toContain("malignant, surely lower: C (epsilon 1) 0.65.");
    expect(said("What it costs")).toMatch(/not to be told apart .*: B \(epsilon 8\) 0\.83, .* E \(linear\) 0\.69/);
  });

  it("pairedDifferences_decideWhereThereAre", () => {
    const cost = { than: "plain", target: "malignant", group: null, verdict: "" };
    const difference = { value: -0.021, low: -0.034, high: -0.004 };
    const costs = [1, 2].map((seed) => ({ ...cost, arm: "epsilon 8", seed, difference }));
    const { parts } = summarise({ ...record, costs }, rows).answer;
    expect(parts.find(({ title }) => title === "What it costs")!.sentences[1]).toBe(
      "malignant, surely lower: B (epsilon 8) by −0.02 [−0.03, 0.00] and C (epsilon 1) 0.65.",
    );
  });

  it("whatMustNotBeOverlooked_isSaid", () => {
    const care = said("Read with care");
    expect(care).toMatch(/rare as skill: the cohort is confounded/);
    expect(care).toMatch(/epsilon of B \(epsilon 8\) and C \(epsilon 1\) lie accesses that are NOT ACCOUNTED/);
    expect(care).toMatch(/G \(private generator\) failed and has no figures/);
    expect(care).toMatch(/H \(not yet\) has not been run yet/);
    expect(care).toMatch(/drawn by a program/);
    expect(said("Whom it serves")).toMatch(/Of 2 groups there are not enough patients to tell/);
  });

  it("aGroupApartFromAnother_isNamed", () => {
    const low = rows.map((row) =>
      row.group === "sex=M" && row.arm === "plain" ? { ...row, low: 0.3, high: 0.5 } : row,
    );
    const { parts } = summarise(record, low).answer;
    expect(parts.find(({ title }) => title === "Whom it serves")!.sentences[0]).toMatch(
      /^malignant, plain: sex M has an AUROC/,
    );
  });

  it("aStudyWithoutRowsOrAttacks_saysSo", () => {
    const { decision: _decision, ...rest } = record;
    const bare = summarise({ ...rest, attacks: [], groups: [] }, []);
    expect(bare.answer.headline[0]).toMatch(/^Nothing was attacked/);
    expect(bare.split).toBeNull();
  });
});

it("epsilonText_isNeverBelowTheNumber", () => {
  expect([7.9999999, 0.30201, 12.345, 1].map(epsilonText)).toEqual(["8", "0.303", "12.4", "1"]);
});
