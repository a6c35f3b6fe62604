import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isLeadglassError } from "../errors.ts";
import { nearestOf, parseWords, type Options } from "./options.ts";

const options = {
  cohort: { kind: "text", about: "", required: true },
  model: { kind: "text", about: "", oneOf: ["cnn", "mlp"] },
  target: { kind: "list", about: "" },
  lr: { kind: "number", about: "", above: 0 },
  seed: { kind: "whole", about: "", initial: 0 },
  json: { kind: "flag", about: "" },
} as const satisfies Options;

const parse = (...words: string[]) => parseWords(["--cohort", "c", ...words], options, [], "train").values;

function refusal(...words: string[]): string {
  try {
    parse(...words);
  } catch (error) {
    if (!isLeadglassError(error) || error.code !== "LG-USAGE-001") throw error;
    return `${error.message} | ${error.hint ?? ""}`;
  }
  throw new Error("it was accepted");
}

describe("parseWords", () => {
  it("optionsNotGiven_areUndefinedEmptyFalseOrTheirInitialValue", () => {
    expect(parse()).toEqual({ cohort: "c", model: undefined, target: [], lr: undefined, seed: 0, json: false });
  });

  it("bothSpellingsOfAValue_areTheSame", () => {
    expect(parse("--lr=0.5", "--seed", "3")).toEqual(parse("--seed=3", "--lr", "0.5"));
  });

  it("listsAreCollectedFromRepeatsAndCommas", () => {
    expect(parse("--target", "a, b", "--target", "c").target).toEqual(["a", "b", "c"]);
  });

  it("negativeNumbersAreValues", () => {
    expect(parse("--seed", "-4").seed).toBe(-4);
  });

  it.each([
    [["--sed", "1"], "--sed: train has no such option | Did you mean --seed?"],
    [["--quantum"], "--quantum: train has no such option | See leadglass train --help."],
    [["--seed", "1", "--seed", "2"], "--seed: it is given twice"],
    [["--seed"], "--seed: a value was expected after it"],
    [["--seed", "--json"], "--seed: a value was expected after it"],
    [["--seed="], "--seed: a value was expected after it"],
    [["--seed", "1.5"], '--seed: a whole number was expected, not "1.5"'],
    [["--seed", "1e400"], "--seed: a whole number was expected"],
    [["--lr", "0"], "--lr: a number above 0 was expected"],
    [["--lr", "Infinity"], "--lr: a number above 0 was expected"],
    [["--lr", "0x10"], "--lr: a number above 0 was expected"],
    [["--json=yes"], "--json: it takes no value"],
    [["--no-json"], "--no-json: train has no such option"],
    [["--model", "cn"], '--model: one of cnn, mlp was expected, not "cn" | Did you mean cnn?'],
    [["malignant"], "train: a stray argument of length 9"],
  ])("%j is refused", (words, expected) => {
    expect(refusal(...words)).toContain(expected);
  });

  it("missingRequiredOption_isNamed", () => {
    expect(() => parseWords([], options, [], "train")).toThrow("--cohort is missing");
  });

  it("positionals_areCounted", () => {
    expect(parseWords(["--cohort", "c", "d"], options, ["DIR"], "check").positionals).toEqual(["d"]);
    expect(() => parseWords(["--cohort", "c"], options, ["DIR"], "check")).toThrow("DIR is missing");
    expect(() => parseWords(["--cohort", "c", "d", "e"], options, ["DIR"], "check")).toThrow("2 arguments");
  });

  it("everyFiniteNumber_isReadAsItIsWritten", () => {
    fc.assert(
      fc.property(fc.double({ min: 0, minExcluded: true, noNaN: true, max: Number.MAX_VALUE }), (x) => {
        expect(parse("--lr", String(x)).lr).toBe(x);
      }),
    );
  });
});

describe("nearestOf", () => {
  it("oneSlip_findsTheWord", () => {
    const words = ["epsilon", "delta", "cohort", "clip-norm", "batch"];
    fc.assert(
      fc.property(fc.constantFrom(...words), fc.nat(), fc.constantFrom("drop", "swap", "add"), (word, at, slip) => {
        const i = at % (word.length - 1);
        const slipped =
          slip === "drop"
            ? word.slice(0, i) + word.slice(i + 1)
            : slip === "swap"
              ? word.slice(0, i) + word[i + 1] + word[i] + word.slice(i + 2)
              : `${word.slice(0, i)}x${word.slice(i)}`;
        expect(nearestOf(slipped, words)).toBe(word);
      }),
    );
  });

  it("aWordLikeNone_findsNone", () => {
    expect(nearestOf("zzzzzz", ["epsilon", "delta"])).toBeUndefined();
  });
});
