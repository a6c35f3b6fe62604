import { runCommand } from "citty";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { AttackerTerms, PatientCost } from "../../privacy/index.ts";
import { accountantMeaning } from "./accountant-meaning.ts";

afterEach(() => vi.restoreAllMocks());

async function output(...words: string[]): Promise<string> {
  let text = "";
  vi.spyOn(process.stdout, "write").mockImplementation((part) => ((text += String(part)), true));
  await runCommand(accountantMeaning, { rawArgs: words });
  return text;
}

type Answer = AttackerTerms & {
  epsilon: number | null;
  noiseMultiplier: number | null;
  patient: PatientCost | null;
};
const json = async (...words: string[]): Promise<Answer> => JSON.parse(await output(...words, "--json")) as Answer;

describe("accountant meaning", () => {
  it("says in words what a plan lets an attacker reach", async () => {
    // scipy 1.17.1, mu = sqrt(100) / 10 = 1: norm.cdf(norm.ppf(rate) + 1) = 0.0183, 0.0924, 0.3891; 2 norm.cdf(0.5) - 1 = 0.3829.
    expect(await output("--noise-multiplier", "10", "--sampling-probability", "1", "--steps", "100"))
      .toMatchInlineSnapshot(`
        "Was somebody in the training? At most, for whoever holds the model and knows everybody else's data:

        wrongly accused  members caught  of the accused, members
                  0.1 %          1.83 %                   67.1 %
                    1 %          9.24 %                   50.7 %
                   10 %            39 %                   30.2 %

        The last column holds where 10 % of those tested are members (--share).
        Best gap between members caught and others accused: 38.3 % (0 is guessing, 100 % is certainty).

        What was in somebody's image? The chance of a right guess, at most:

        without the model  with it
        1 in 10               39 %
        1 in 1000           1.83 %
        "
      `);
  });

  it("ofEpsilonAndDeltaAlone_isTheWorstMechanism", async () => {
    const answer = await json("--epsilon", "1", "--delta", "1e-5");
    // Kairouz, Oh, Viswanath 2015: e 0.01 + 1e-5 at 1 %, (e - 1 + 2e-5) / (e + 1) between.
    expect(answer.membership[1]!.truePositiveRate).toBeCloseTo(Math.E * 0.01 + 1e-5, 9);
    expect(answer.advantage).toBeCloseTo((Math.E - 1 + 2e-5) / (Math.E + 1), 12);
    expect(answer).toMatchObject({ epsilon: 1, noiseMultiplier: null, patient: null });
  });

  it("withAPlan_anEpsilonIsTurnedIntoItsNoise_andPromisesMore", async () => {
    const plan = ["--sampling-probability", "1", "--steps", "100"];
    const answer = await json("--epsilon", "8", "--delta", "1e-4", ...plan);
    // Exact Gaussian at epsilon 8, delta 1e-4 (Balle and Wang 2018): one release with noise 0.543075 (scipy 1.17.1, brentq).
    expect(answer.noiseMultiplier! / 10).toBeCloseTo(0.543075, 6);
    expect(answer.membership[1]!.truePositiveRate).toBeLessThan(0.32);
    expect((await json("--epsilon", "8", "--delta", "1e-4")).membership[1]!.truePositiveRate).toBeGreaterThan(0.99);
  });

  it("ofImages_saysWhatAPatientHas", async () => {
    const plan = ["--noise-multiplier", "40", "--sampling-probability", "1", "--steps", "100", "--delta", "1e-5"];
    const answer = await json(...plan, "--images-per-patient", "4");
    // Noise 40 over 100 steps is noise 4; four images make it noise 1, whose epsilon at 1e-5 is
    // 4.377178 (scipy 1.17.1, brentq on Balle and Wang's theorem 8).
    expect(answer.patient).toMatchObject({ imagesPerPatient: 4, how: "exact" });
    expect(answer.patient!.epsilon).toBeCloseTo(4.377178, 6);
    expect(await output(...plan, "--images-per-patient", "4")).toContain(
      "for a patient of up to 4 images epsilon is exactly 4.37",
    );
  });

  it("refusesHalfAQuestion", async () => {
    for (const words of [
      [],
      ["--epsilon", "8"],
      ["--epsilon", "8", "--delta", "1e-4", "--steps", "5"],
      ["--noise-multiplier", "1"],
      ["--epsilon", "8", "--delta", "1e-4", "--noise-multiplier", "1"],
      ["--epsilon", "8", "--delta", "1e-4", "--images-per-patient", "3"],
    ])
      await expect(output(...words), words.join(" ")).rejects.toMatchObject({ code: "LG-USAGE-001" });
  });
});
