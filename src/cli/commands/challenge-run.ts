import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { openCohort } from "../../cohort/index.ts";
import { filesOfEncodings } from "../../encoding/challenge/commitment.ts";
import { makeChallenge, readAnswers, readChallenge, targetEncodings } from "../../encoding/challenge/make.ts";
import { scoreImitation, scoreMatching } from "../../encoding/challenge/score.ts";
import { readKey } from "../../encoding/key-file.ts";
import { schemeNamed, schemeNames, type SchemeName } from "../../encoding/schemes/index.ts";
import { LeadglassError } from "../../errors.ts";
import { command } from "../command.ts";
import { count, interval, significant } from "../output.ts";

export const challengeMake = command({
  name: "challenge make",
  about:
    "Draws images of a cohort, encodes them, and writes OUT/public for attackers and OUT/sealed for the organiser. The hash of the answers is written first.",
  options: {
    cohort: { kind: "text", value: "DIR", about: "the cohort; attackers are given its images", required: true },
    target: { kind: "text", value: "COLUMN", about: "the label to publish", required: true },
    key: { kind: "text", value: "FILE", about: "the key; make one for this challenge alone", required: true },
    out: { kind: "text", value: "DIR", about: "a folder that does not exist", required: true },
    scheme: { kind: "text", about: "how to encode", oneOf: schemeNames, initial: "neuracrypt" },
    width: {
      kind: "whole",
      value: "N",
      about: "units of a layer, and at most so many outputs",
      atLeast: 16,
      atMost: 4096,
    },
    depth: { kind: "whole", value: "N", about: "hidden layers", atLeast: 0, atMost: 64 },
    images: { kind: "whole", value: "N", about: "encodings of track 1", initial: 128, atLeast: 2 },
    known: { kind: "whole", value: "N", about: "pairs given away", initial: 32, atLeast: 0 },
    targets: { kind: "whole", value: "N", about: "images of track 2", initial: 16, atLeast: 1 },
    "image-size": { kind: "whole", value: "PIXELS", about: "side of the images", initial: 256, atLeast: 16 },
  },
  examples: ["leadglass challenge make --cohort chests --target pneumonia --key duel.key --out duel --known 0"],
  async run(options, terminal) {
    const named = schemeNamed(options.scheme as SchemeName);
    const width = options.width ?? named.width;
    using progress = terminal.progress("encoding", "images", { leave: true });
    const made = await makeChallenge({
      cohort: await openCohort(options.cohort),
      key: await readKey(options.key),
      scheme: {
        ...named,
        width,
        outputs: Math.min(named.outputs, width),
        ...(options.depth === undefined ? {} : { depth: options.depth }),
      },
      ...{ target: options.target, out: options.out },
      ...{ images: options.images, known: options.known, targets: options.targets, size: options["image-size"] },
      signal: terminal.signal,
      onProgress: progress.update,
    });
    return {
      json: {
        ...{ out: options.out, commitment: made.commitment },
        ...{ images: made.images, known: made.known.length, targets: made.targets.length },
      },
      text: `${options.out}: ${count(made.images)} encodings, ${count(made.known.length)} known pairs\ncommitment ${made.commitment}\nPublish ${join(options.out, "public")}; keep ${join(options.out, "sealed")} and the key.`,
    };
  },
});

const where = {
  challenge: { kind: "text", value: "DIR", about: "the public folder of a challenge", required: true },
  answers: { kind: "text", value: "FILE", about: "its sealed answers", required: true },
} as const;

export const challengeVerify = command({
  name: "challenge verify",
  about: "Checks sealed answers against the commitment that was published before the release.",
  options: where,
  examples: ["leadglass challenge verify --challenge duel/public --answers duel/sealed/answers.json"],
  async run(options) {
    const challenge = await readChallenge(options.challenge);
    const first = (await readFile(join(options.challenge, "commitment.txt"), "utf8").catch(() => "")).trim();
    const sealed = await readAnswers(options.answers, { commitment: first });
    const truth = filesOfEncodings(sealed);
    const fits =
      challenge.commitment === first &&
      challenge.images === truth.length &&
      JSON.stringify(challenge.candidates) === JSON.stringify([...sealed.files].sort()) &&
      challenge.known.every(({ encoding, file }) => truth[encoding] === file);
    return {
      json: { valid: fits, commitment: first },
      text: fits
        ? `The answers are those of commitment ${first}.`
        : "The answers are those committed to, and the challenge does not follow from them.",
      exitCode: fits ? 0 : 3,
    };
  },
});

const ranksSchema = z.object({ ranks: z.array(z.array(z.string())) });
const targetsSchema = z.object({ targets: z.array(z.array(z.number())) });

export const challengeScore = command({
  name: "challenge score",
  about:
    "Scores a submission. Track 1: for each encoding the files it may show, best first. Track 2: the mean patch of each target's encoding, made without the key.",
  options: {
    ...where,
    submission: {
      kind: "text",
      value: "FILE",
      about: 'JSON: {"ranks": [[file, ...], ...]} or {"targets": [[number, ...], ...]}',
      required: true,
    },
    cohort: { kind: "text", value: "DIR", about: "the cohort; only for track 2" },
    key: { kind: "text", value: "FILE", about: "the challenge's key; only for track 2" },
  },
  examples: [
    "leadglass challenge score --challenge duel/public --answers duel/sealed/answers.json --submission found/matching.json",
  ],
  async run(options) {
    const challenge = await readChallenge(options.challenge);
    const sealed = await readAnswers(options.answers, challenge);
    const submission = parsed(await readFile(options.submission, "utf8"));
    const ranks = ranksSchema.safeParse(submission);
    if (ranks.success) {
      const score = scoreMatching(challenge, sealed, ranks.data.ranks);
      const { guesswork } = score;
      return {
        json: { track: 1, ...score },
        text: [
          `right: ${interval(score.accuracy)} of ${count(score.scored)}; chance ${significant(Number(score.chance.toFixed(4)))}`,
          `among the first 5: ${score.rankK[5].toFixed(3)}, the first 10: ${score.rankK[10].toFixed(3)}`,
          `${score.kAnonymity.band}: ${score.kAnonymity.effective === null ? "no image found" : `an image is hidden among ${score.kAnonymity.effective.toFixed(1)}`}`,
          `guesses until the first right one: ${guesswork.attacker ?? "none was right"}; who knows nothing needs ${guesswork.ideal}`,
        ].join("\n"),
      };
    }
    const targets = targetsSchema.safeParse(submission);
    if (!targets.success)
      throw new LeadglassError("LG-ATTACK-001", `${options.submission}: neither ranks nor targets in it`, {
        hint: "See leadglass challenge score --help for the two forms.",
      });
    if (options.cohort === undefined || options.key === undefined)
      throw new LeadglassError("LG-USAGE-001", "--cohort and --key: both are needed to score track 2", {
        hint: "Give the cohort and the key that the challenge was made with.",
      });
    const cohort = await openCohort(options.cohort);
    const truth = await targetEncodings(options.challenge, cohort, await readKey(options.key), sealed);
    const score = scoreImitation(truth, targets.data.targets);
    return {
      json: { track: 2, ...score },
      text: `imitated: ${interval(score.accuracy)} of ${count(score.scored)}; chance ${score.chance.toFixed(4)}; ${score.kAnonymity.band}`,
    };
  },
});

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new LeadglassError("LG-ATTACK-001", `submission: ${text.length} characters that are no JSON document`, {
      hint: "Write the submission as JSON.",
      cause,
    });
  }
}
