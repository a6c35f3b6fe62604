import { expect, it } from "vitest";
import {
  commitmentOf,
  filesOfEncodings,
  openSealed,
  sealedText,
  type PublicChallenge,
  type Sealed,
} from "./commitment.ts";
import { scoreImitation, scoreMatching } from "./score.ts";

const files = ["a.png", "b.png", "c.png", "d.png"];
const sealed: Sealed = {
  format: "leadglass challenge answers 1",
  salt: "1".repeat(64),
  nonce: "2".repeat(64),
  keyFingerprint: "3".repeat(64),
  files,
  images: [4, 5, 7, 9],
  patients: [0, 0, 1, 2],
};
const truth = filesOfEncodings(sealed);
const challenge: PublicChallenge = {
  format: "leadglass challenge 1",
  commitment: commitmentOf(sealedText(sealed)),
  images: 4,
  candidates: files,
  known: [],
  targets: ["e.png"],
};

// printf abc | sha256sum
it("commitment_isSha256", () => {
  expect(commitmentOf("abc")).toBe("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
});

it("changedAnswers_areRefused", () => {
  expect(openSealed(sealedText(sealed), challenge)).toEqual(sealed);
  const changed = sealedText({ ...sealed, nonce: `${"2".repeat(63)}3` });
  expect(() => openSealed(changed, challenge)).toThrow(expect.objectContaining({ code: "LG-ATTACK-001" }));
});

it("answers_areAPermutationThatTheNonceDecides", () => {
  expect([...truth].sort()).toEqual(files);
  expect(filesOfEncodings(sealed)).toEqual(truth);
});

it("aPerfectSubmission_hidesNobody", () => {
  const score = scoreMatching(
    challenge,
    sealed,
    truth.map((file) => [file]),
  );
  expect(score.accuracy.value).toBe(1);
  expect(score.kAnonymity).toEqual({ effective: 1, band: "bad" });
  expect(score.guesswork).toEqual({ ideal: 2.5, attacker: 1 });
});

it("secondChoices_countAtRankFive", () => {
  const wrongFirst = truth.map((file, i) => [truth[(i + 1) % 4]!, file]);
  const score = scoreMatching(challenge, sealed, wrongFirst);
  expect(score.accuracy.value).toBe(0);
  expect(score.rankK).toEqual({ 1: 0, 5: 1, 10: 1 });
  expect(score.meanReciprocalRank).toBe(0.5);
  // Four wrong first choices, then the first second choice.
  expect(score.guesswork.attacker).toBe(5);
  expect(score.kAnonymity).toEqual({ effective: null, band: "good" });
});

it("knownPairs_doNotCount", () => {
  const given = { ...challenge, known: [{ encoding: 0, file: truth[0]! }] };
  const onlyKnown = truth.map((file, i) => [i === 0 ? file : truth[((i % 3) + 1) as 1]!]);
  expect(scoreMatching(given, sealed, onlyKnown).accuracy.value).toBe(0);
  expect(scoreMatching(given, sealed, onlyKnown).scored).toBe(3);
});

it("submissionsThatDoNotFit_areRefused", () => {
  expect(() => scoreMatching(challenge, sealed, [["a.png"]])).toThrow("1 lists for 4");
  expect(() => scoreMatching(challenge, sealed, [["x"], [], [], []])).toThrow("no candidate");
});

it("imitations_countWhereTheirOwnIsNearest", () => {
  const points = [
    [0, 0],
    [1, 0],
    [0, 1],
  ];
  expect(scoreImitation(points, points).accuracy.value).toBe(1);
  expect(
    scoreImitation(points, [
      [0.1, 0],
      [0, 1],
      [1, 0],
    ]).accuracy.value,
  ).toBeCloseTo(1 / 3, 12);
  // Ties are no success: the same vector for every target finds nobody.
  expect(
    scoreImitation(points, [
      [0, 0],
      [0, 0],
      [0, 0],
    ]).accuracy.value,
  ).toBe(0);
});
