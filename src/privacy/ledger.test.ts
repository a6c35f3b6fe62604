import { createHash } from "node:crypto";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { accountantNamed } from "./accountant.ts";
import { appendEntry, canonicalJson, formatEntry, summariseLedger, verifyLedger } from "./ledger.ts";
import { type LedgerBody, type LedgerEntry, parseLedger } from "./ledger-entries.ts";
import { planPrivateTraining } from "./plan.ts";

const plan = planPrivateTraining({
  target: { epsilon: 4, delta: 1e-5 },
  sampling: { kind: "poisson", probability: 0.05 },
  clipping: { kind: "flat", norm: 1 },
  steps: 300,
});
const cohortFingerprint = "c0ffee";
const count = {
  kind: "noisy-count",
  cohortFingerprint,
  what: "how many carry the label",
  unit: "patient",
  relation: "add-or-remove-one",
  noiseMultiplier: 10,
  delta: 1e-5,
} as const;
const training = (run: string, stepsDone: number): LedgerBody => ({
  kind: "training",
  cohortFingerprint,
  run,
  plan,
  stepsDone,
  codeVersion: "0.1.0",
  details: { unitsWithNaN: 0 },
});

async function ledgerOf(...bodies: LedgerBody[]): Promise<LedgerEntry[]> {
  const entries: LedgerEntry[] = [];
  for (const body of bodies) entries.push(await appendEntry(entries, body));
  return entries;
}
const withCode = (code: string) => expect.objectContaining({ code });

let entries: LedgerEntry[];
beforeAll(async () => {
  entries = await ledgerOf(
    { kind: "cohort-opened", cohortFingerprint, at: "2026-11-22" },
    count,
    training("one", 100),
    training("one", 300),
    { kind: "public", what: "normalisation by constants from the literature" },
    training("two", 300),
    { kind: "not-accounted", cohortFingerprint, what: "the epoch was chosen by validation AUROC" },
  );
});

/** The same entries with one changed; the original stays. */
const withEdit = (index: number, edit: object): LedgerEntry[] =>
  entries.map((entry, i) => (i === index ? ({ ...entry, ...edit } as LedgerEntry) : entry));

describe("canonicalJson", () => {
  it("isOneTextForOneValue_andReadsBackAsIt", () => {
    // By hand from RFC 8785 sections 3.2.2 and 3.2.3.
    expect(canonicalJson({ b: [1e21, -0, "é\n"], a: { d: null, c: true } })).toBe(
      '{"a":{"c":true,"d":null},"b":[1e+21,0,"é\\n"]}',
    );
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonicalJson(value);
        expect(canonicalJson(JSON.parse(text))).toBe(text);
        expect(JSON.parse(text)).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
    expect(() => canonicalJson({ a: NaN })).toThrow(/not finite/);
  });
});

describe("appendEntry", () => {
  it("tiesEachEntryToTheOneBefore_bySha256OfItsCanonicalJson", () => {
    expect(entries[0]!.previousHash).toBe("0".repeat(64));
    entries.forEach((entry, i) => {
      expect(entry.index).toBe(i);
      if (i > 0) expect(entry.previousHash).toBe(entries[i - 1]!.hash);
      // Another implementation of the hash: node:crypto.
      const text = canonicalJson({ ...entry, hash: undefined });
      expect(entry.hash).toBe(createHash("sha256").update(text).digest("hex"));
    });
  });

  it("isAFunctionOfItsArguments: no clock, no chance", async () => {
    expect(await appendEntry(entries.slice(0, 3), training("one", 300))).toEqual(entries[3]);
  });

  it("statesTheCostOfTheRunAndOfEverythingSoFar_countingARunOnce", () => {
    const pld = accountantNamed("pld");
    const event = {
      kind: "poisson-gaussian",
      samplingProbability: 0.05,
      noiseMultiplier: plan.noiseMultiplier,
      steps: 300,
    } as const;
    const countEvent = { ...event, samplingProbability: 1, noiseMultiplier: 10, steps: 1 };
    expect(entries[3]).toMatchObject({ epsilon: plan.epsilon });
    expect(entries[3]!.cumulative!.epsilon).toBeCloseTo(pld.epsilon([countEvent, event], 1e-5).upper, 12);
    expect(entries[5]!.cumulative!.epsilon).toBeCloseTo(pld.epsilon([countEvent, event, event], 1e-5).upper, 12);
    expect(entries[0]!.cumulative).toBeNull();
    expect(entries[6]!.cumulative).toBeNull();
  });

  it("access_followsFromTheKind", () => {
    expect(entries.map((entry) => entry.access)).toEqual([
      "accounted",
      "accounted",
      "accounted",
      "accounted",
      "public",
      "accounted",
      "not accounted",
    ]);
    expect(entries[6]!.sentence).toBe(
      "NOT ACCOUNTED, outside every epsilon stated: the epoch was chosen by validation AUROC.",
    );
  });

  it("refusesARunThatDoesNotContinueItself_orPassesItsPlan", async () => {
    await expect(appendEntry(entries, training("one", 200))).rejects.toThrow(withCode("LG-PRIVACY-008"));
    const other = { ...training("one", 300), plan: { ...plan, insecureSeed: true } } as LedgerBody;
    await expect(appendEntry(entries, other)).rejects.toThrow(/the plan of its run changed/);
    await expect(appendEntry(entries, training("three", 301))).rejects.toThrow(withCode("LG-PRIVACY-002"));
  });
});

describe("ledger files", () => {
  it("linesReadBackAsTheSameLedger_andVerify", async () => {
    const read = parseLedger(entries.map(formatEntry).join(""));
    expect(read.map(canonicalJson)).toEqual(entries.map(canonicalJson));
    expect(await verifyLedger(read)).toEqual({ valid: true, problems: [] });
    expect(parseLedger("")).toEqual([]);
  });

  it("refusesALineThatIsNoEntry_andTellsAnUnfinishedLastOne", () => {
    const text = entries.map(formatEntry).join("");
    const errorOf = (broken: string): unknown => {
      try {
        return parseLedger(broken);
      } catch (error) {
        return error;
      }
    };
    expect(errorOf(text.slice(0, -20))).toMatchObject({ code: "LG-PRIVACY-006", fields: { line: 7, torn: true } });
    expect(errorOf(`${text}{}\n`)).toMatchObject({ code: "LG-PRIVACY-006", fields: { line: 8, torn: false } });
    expect(errorOf(text.replace('"kind":"public"', '"kind":"gift"'))).toMatchObject({
      fields: { line: 5, torn: false },
    });
  });
});

describe("verifyLedger", () => {
  it("anUntouchedLedgerIsValid", async () => {
    expect(await verifyLedger(entries)).toEqual({ valid: true, problems: [] });
    expect(await verifyLedger([])).toEqual({ valid: true, problems: [] });
  });

  it("everyEditOfAnyFieldShows", async () => {
    for (const [i, entry] of entries.entries())
      for (const [key, value] of Object.entries(entry)) {
        if (key === "kind") continue; // another kind has other fields: the reader refuses it
        const edit: Record<string, unknown> = { [key]: { x: 1 } };
        if (typeof value === "number") edit[key] = value + 1;
        if (typeof value === "string") edit[key] = `${value}x`;
        if (key === "plan") edit[key] = { ...plan, insecureSeed: true };
        // Costs are recomputed from these, so they must stay of their type to be judged.
        if (key === "epsilon") edit[key] = { upper: 0.1, lower: null };
        if (key === "cumulative") edit[key] = { epsilon: 0.1, delta: 1e-5 };
        const { valid, problems } = await verifyLedger(withEdit(i, edit));
        expect(valid, `entry ${i}, ${key}`).toBe(false);
        expect(problems.some((problem) => problem.index === i)).toBe(true);
      }
  });

  it("deletionInsertionAndExchangeShow", async () => {
    for (let i = 0; i < entries.length - 1; i++) {
      expect((await verifyLedger(entries.toSpliced(i, 1))).valid, `without ${i}`).toBe(false);
      expect((await verifyLedger(entries.toSpliced(i, 0, entries[i]!))).valid, `twice ${i}`).toBe(false);
      const exchanged = entries.toSpliced(i, 2, entries[i + 1]!, entries[i]!);
      expect((await verifyLedger(exchanged)).valid, `exchanged ${i}`).toBe(false);
    }
  });

  it("cuttingTheEndOff_showsAgainstAnAnchor", async () => {
    const { index, hash } = entries.at(-1)!;
    expect((await verifyLedger(entries.slice(0, -1))).valid).toBe(true);
    expect((await verifyLedger(entries.slice(0, -1), { index, hash })).problems).toEqual([
      { index: 6, message: "the entry that a checkpoint remembers is gone or was replaced" },
    ]);
    expect((await verifyLedger(entries, { index, hash })).valid).toBe(true);
  });

  /** What a forger makes of changed entries: every link and hash computed anew (by node:crypto). */
  const rechained = (changed: readonly LedgerEntry[]): LedgerEntry[] => {
    const forged: LedgerEntry[] = [];
    for (const entry of changed) {
      const next = { ...entry, previousHash: forged.at(-1)?.hash ?? "0".repeat(64) };
      const text = canonicalJson({ ...next, hash: undefined });
      forged.push({ ...next, hash: createHash("sha256").update(text).digest("hex") });
    }
    return forged;
  };

  it("aLedgerForgedWithFreshHashes_stillCannotSpendLess", async () => {
    const { problems } = await verifyLedger(rechained(withEdit(3, { epsilon: { upper: 1, lower: null } })));
    expect(problems).toEqual([
      { index: 3, message: expect.stringMatching(/states epsilon 1; its plan costs 3.99/) as string },
    ]);
    const cheaper = rechained(withEdit(5, { cumulative: { epsilon: 1, delta: 1e-5 } }));
    expect((await verifyLedger(cheaper)).problems.map((problem) => problem.index)).toEqual([5]);
    const relabelled = rechained(withEdit(6, { access: "accounted" }));
    expect((await verifyLedger(relabelled)).problems.map((problem) => problem.index)).toEqual([6]);
  });

  it("anEntryTakenOutWithFreshHashes_leavesAGapInTheNumbers_andAnAnchorSeesAnyForgery", async () => {
    const forged = rechained(entries.toSpliced(4, 1));
    expect((await verifyLedger(forged)).problems.map((problem) => problem.index)).toEqual([4, 5]);
    const renumbered = rechained(entries.toSpliced(4, 1).map((entry, index) => ({ ...entry, index })));
    expect((await verifyLedger(renumbered)).valid).toBe(true);
    const { index, hash } = entries[5]!;
    expect((await verifyLedger(renumbered, { index, hash })).valid).toBe(false);
  });
});

describe("summariseLedger", () => {
  it("givesARowForEveryAccess_andTheComposedEpsilonWithItsWarnings", () => {
    const { rows, budgets } = summariseLedger(entries);
    expect(rows).toHaveLength(7);
    expect(rows[4]).toMatchObject({
      index: 4,
      kind: "public",
      access: "public",
      cohortFingerprint: null,
      sentence: "Public, so without cost: normalisation by constants from the literature.",
    });
    expect(budgets).toHaveLength(1);
    expect(budgets[0]).toMatchObject({
      cohortFingerprint,
      unit: "patient",
      relation: "add-or-remove-one",
      delta: 1e-5,
      trainings: 2,
      noisyCounts: 1,
      warnings: ["1 NOT ACCOUNTED access(es) to this cohort (splits: all) are outside this epsilon"],
    });
    expect(budgets[0]!.epsilon.upper).toBe(entries[5]!.cumulative!.epsilon);
    // Composition is cheaper than adding epsilons up, and dearer than either alone.
    expect(budgets[0]!.epsilon.upper).toBeLessThan(8);
    expect(budgets[0]!.epsilon.upper).toBeGreaterThan(4);
  });

  it("aSmallerDelta_costsMore", () => {
    const at = (delta: number): number => summariseLedger(entries, { delta }).budgets[0]!.epsilon.upper;
    expect(at(1e-7)).toBeGreaterThan(at(1e-5));
    expect(() => at(0)).toThrow(withCode("LG-PRIVACY-001"));
  });

  it("keepsCohortsAndUnitsApart_takesTheStricterRelation_andSaysWhenNoiseWasSeeded", async () => {
    const seeded = { ...plan, insecureSeed: true };
    const other = await ledgerOf(
      { ...count, cohortFingerprint: "other" },
      { ...count, unit: "image" },
      count,
      { ...count, relation: "replace-one" },
      { kind: "training", cohortFingerprint: "other", run: "r", plan: seeded, stepsDone: 10 },
    );
    const { budgets } = summariseLedger(other);
    expect(budgets.map(({ cohortFingerprint: cohort, unit, relation }) => [cohort, unit, relation])).toEqual([
      ["other", "patient", "add-or-remove-one"],
      [cohortFingerprint, "image", "add-or-remove-one"],
      [cohortFingerprint, "patient", "replace-one"],
    ]);
    expect(budgets[0]!.warnings).toEqual(["noise came from a seed: this epsilon protects nobody"]);
    expect(budgets[2]!.warnings).toEqual([
      "other accesses were accounted for another unit and are not in this epsilon",
    ]);
    expect(other[4]!.sentence).toMatch(/it came from a seed, so this run protects nobody/);
    expect((await verifyLedger(other)).valid).toBe(true);
  });
});
