import { mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { nothingShared, reconstruct, runAttack, type AttackReport } from "../../encoding/attacks/run.ts";
import { attackNames, attacks } from "../../encoding/attacks/table.ts";
import { pick, pixelsOfPatches } from "../../encoding/attacks/arrays.ts";
import { fidelity, type Fidelity } from "../../encoding/attacks/fidelity.ts";
import type { AttackView } from "../../encoding/attacks/view.ts";
import { isLeadglassError, LeadglassError } from "../../errors.ts";
import { pictureSheet } from "../../encoding/attacks/sheet.ts";
import { viewOfChallenge } from "../../encoding/challenge/make.ts";
import { openCohort } from "../../cohort/index.ts";
import { command } from "../command.ts";
import { duration, interval, styled, table } from "../output.ts";

export const attackList = command({
  name: "attack list",
  about: "The attacks, what each knows, and the positive control that it must break to be believed.",
  options: {},
  examples: ["leadglass attack list"],
  run() {
    const rows = attackNames.map((name) => ({ attack: name, ...describe(name) }));
    return {
      json: { attacks: rows },
      text: table([
        ["attack", "knows", "control", "what it does"],
        ...rows.map(({ attack, knowledge, control, about }) => [attack, knowledge.join("; "), control, about]),
      ]),
    };
  },
});

const describe = (name: string) => {
  const { about, knowledge, control } = attacks[name]!;
  return { about, knowledge, control };
};

/** The command of one attack, or of all. */
export const attackRun = (name: string) =>
  command({
    name: `attack ${name}`,
    about: `${name === "all" ? "Runs every attack" : attacks[name]!.about.replace(/^./, (c) => c.toUpperCase())} against the release of a challenge, and against a positive control made here: who cannot break that one, proves nothing.`,
    options: {
      release: { kind: "text", value: "RELEASE", about: "DIR/public/release of a challenge", required: true },
      public: { kind: "text", value: "COHORT", about: "the images that the attacker holds", required: true },
      answers: { kind: "text", value: "FILE", about: "the owner's sealed answers, to score with" },
      attribute: { kind: "text", value: "COLUMN[=VALUE]", about: "what attribute inference is to find out" },
      seed: { kind: "whole", value: "N", about: "of whatever is drawn", initial: 0, atLeast: 0 },
      budget: {
        kind: "number",
        value: "SECONDS",
        about: "no attack is begun, and no training goes on, after this long",
        initial: 3600,
        above: 0,
      },
      out: {
        kind: "text",
        value: "DIR",
        about: "write findings, the table and pictures of reconstructions there; an interrupted run goes on from it",
      },
      ...(name === "all" ? {} : { "no-control": { kind: "flag", about: "leave the positive control out" } }),
    } as {
      release: { kind: "text"; value: string; about: string; required: true };
      public: { kind: "text"; value: string; about: string; required: true };
      answers: { kind: "text"; value: string; about: string };
      attribute: { kind: "text"; value: string; about: string };
      seed: { kind: "whole"; value: string; about: string; initial: number; atLeast: number };
      budget: { kind: "number"; value: string; about: string; initial: number; above: number };
      out: { kind: "text"; value: string; about: string };
    },
    notes:
      "A success is a lower bound on what a release gives away. No success says nothing about stronger attackers, and a release from which nothing can be learned is not private for that.",
    examples: [
      `leadglass attack ${name} --release duel/public/release --public chests --answers duel/sealed/answers.json`,
    ],
    async run(options, terminal) {
      const dir = dirname(resolve(options.release));
      const cohort = await openCohort(options.public);
      const { view, truth, challenge } = await viewOfChallenge(dir, cohort, {
        seed: options.seed,
        ...(options.answers === undefined ? {} : { answers: options.answers }),
        ...(options.attribute === undefined ? {} : { attribute: options.attribute }),
      });
      const control = !("no-control" in options && (options as { "no-control"?: boolean })["no-control"]);
      const asked = name === "all" ? attackNames : [name];
      const shared = nothingShared();
      const started = performance.now();
      const left = (): number => options.budget - (performance.now() - started) / 1000;
      const { out } = options;
      if (out !== undefined) await mkdir(out, { recursive: true });
      // What decides the findings: an interrupted run goes on only where all of it is the same.
      const identity = JSON.stringify([
        challenge.commitment,
        options.seed,
        options.attribute,
        control,
        truth !== undefined,
      ]);
      const before = name === "all" && out !== undefined ? await finished(join(out, "attacks.json"), identity) : [];
      const reports: AttackReport[] = [...before];
      const skipped: { attack: string; reason: string }[] = [];
      const save = async (): Promise<void> => {
        if (out !== undefined)
          await writeFile(
            join(out, "attacks.json"),
            `${JSON.stringify({ identity, attacks: reports, skipped }, null, 2)}\n`,
          );
      };
      using progress = terminal.progress("attacking", "attacks", { leave: true });
      for (const [at, each] of asked.entries()) {
        progress.update(at, asked.length, each);
        if (reports.some(({ attack }) => attack === each)) continue;
        if (terminal.signal.aborted)
          throw new LeadglassError("LG-RUNTIME-004", `attack ${name}: cancelled before ${each}`, {
            hint:
              out === undefined
                ? "Run it again with --out to be able to go on."
                : "Run the same command again to go on.",
          });
        if (at > 0 && left() <= 0) {
          skipped.push({ attack: each, reason: "the budget was spent" });
          continue;
        }
        const attempt = runAttack(each, view, {
          ...(truth ? { truth } : {}),
          ...{ control, shared },
          limits: {
            seconds: Math.max(1, left()),
            signal: terminal.signal,
            ...(out === undefined ? {} : { checkpoint: join(out, `${each}.checkpoint`) }),
          },
          onProgress: (done, total) => progress.update(at + Math.round((100 * done) / total) / 100, asked.length, each),
        });
        // In a table of all, what an attack lacks is said in its row.
        const result = await (name === "all"
          ? attempt.catch((error: unknown) => {
              if (!isLeadglassError(error) || error.code !== "LG-USAGE-001") throw error;
              skipped.push({ attack: each, reason: error.message });
            })
          : attempt);
        if (!result) continue;
        const { candidates, imitations, ...report } = result;
        reports.push(report);
        if (out !== undefined && candidates) {
          const ranks = Array.from(candidates, (c) => [challenge.candidates[c]!]);
          await writeFile(join(out, `${each}.json`), `${JSON.stringify({ ranks })}\n`);
        }
        if (out !== undefined && imitations) {
          const { width, data } = imitations;
          const targets = challenge.targets.map((_, t) => [...data.subarray(t * width, (t + 1) * width)]);
          await writeFile(join(out, `${each}.json`), `${JSON.stringify({ targets })}\n`);
        }
        await save();
      }
      await save();
      const pictures: Record<string, PictureScores> = {};
      if (out !== undefined)
        for (const each of ["known-pairs", "matching"] as const) {
          const drawn = asked.includes(each)
            ? await drawReconstructions(each, view, truth?.candidateOf, out)
            : undefined;
          if (drawn) pictures[each] = drawn;
        }
      progress.update(asked.length, asked.length);
      return {
        json: name === "all" ? { attacks: reports, skipped, pictures } : { ...reports[0], pictures },
        text: [textOf(reports, skipped), ...Object.entries(pictures).map(([each, p]) => pictureLine(each, p))].join(
          "\n",
        ),
      };
    },
  });

/** The attacks that a run of the same settings finished before it was interrupted. */
async function finished(path: string, identity: string): Promise<readonly AttackReport[]> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return [];
  const found = JSON.parse(text) as { identity?: string; attacks: AttackReport[] };
  return found.identity === identity ? found.attacks : [];
}

/** How like the originals reconstructions are, beside the mean image, which anybody has who has such images. */
interface PictureScores {
  readonly picture: string;
  readonly images: number;
  readonly reconstruction: Fidelity;
  readonly chance: Fidelity;
}

const pictureLine = (name: string, { picture, images, reconstruction, chance }: PictureScores): string =>
  `${name}: ${picture} (originals, reconstructions, mean image); SSIM ${reconstruction.ssim.toFixed(3)}, chance ${chance.ssim.toFixed(3)}; PSNR ${reconstruction.psnr.toFixed(1)} dB, chance ${chance.psnr.toFixed(1)} dB, over ${images} images`;

/** Pictures in a sheet; the scores are of more images. */
const drawnImages = 6;
const scoredImages = 32;

/**
 * Original, reconstruction and the mean image, for encodings that are no known pairs. Without pairs the attack is run on the
 * first half of the encodings and their originals, and what it learned decodes the others, whose originals it never had.
 */
async function drawReconstructions(
  name: "known-pairs" | "matching",
  view: AttackView,
  candidateOf: Int32Array | undefined,
  out: string,
): Promise<PictureScores | undefined> {
  if (!candidateOf || view.shape.channels !== 1 || (name === "known-pairs" && view.known.length < 4)) return undefined;
  const known = new Set(view.known.map((pair) => pair.encoding));
  const half = Math.floor(candidateOf.length / 2);
  const all = [...candidateOf.keys()];
  const free = name === "matching" ? all.slice(half) : all.filter((i) => !known.has(i));
  const which = free.slice(0, scoredImages);
  // What the attacker has originals of: the pairs, or those of the first half in an order that says nothing.
  const held = name === "matching" ? [...candidateOf.subarray(0, half)].sort((a, b) => a - b) : view.known.map((pair) => pair.candidate); // prettier-ignore
  const found =
    name === "matching"
      ? await reconstruct(
          name,
          { ...view, codes: pick(view.codes, all.slice(0, half)), candidates: pick(view.candidates, held), known: [] },
          [],
          pick(view.codes, which),
        )
      : await reconstruct(name, view, which);
  if (!found) return undefined;
  const { height, width } = view.shape;
  const size = height * width;
  const { mean: centre, deviation } = view.scheme.pixels;
  const pixels = pixelsOfPatches(view.candidates, { ...view.shape, side: view.scheme.patch }).map(
    (x) => x * deviation + centre,
  );
  const each = (set: Float32Array, i: number): Float32Array => set.slice(i * size, (i + 1) * size);
  const average = new Float32Array(size);
  for (const c of held) each(pixels, c).forEach((x, at) => (average[at]! += x / held.length));
  const truths = which.map((i) => each(pixels, candidateOf[i]!));
  const guesses = which.map((_, k) => each(found, k));
  const picture = join(out, `${name}.png`);
  const rows = [truths, guesses, which.map(() => average)].map((row) => row.slice(0, drawnImages));
  await writeFile(picture, await pictureSheet(rows, { height, width }));
  return {
    picture,
    images: which.length,
    reconstruction: fidelity(guesses, truths, { height, width }),
    chance: fidelity(
      truths.map(() => average),
      truths,
      { height, width },
    ),
  };
}

function textOf(reports: readonly AttackReport[], skipped: readonly { attack: string; reason: string }[]): string {
  const share = (x: number | null | undefined): string => (x === null || x === undefined ? "" : x.toFixed(3));
  return [
    table([
      ["attack", "success [95 % interval]", "chance", "control", "chance", "time", "verdict"],
      ...reports.map(({ attack, success, chance, control, seconds, verdict }) => [
        attack,
        success ? interval(success) : "not scored",
        share(chance),
        control ? interval(control.success) : "not run",
        share(control?.chance),
        duration(seconds),
        styled(verdict.startsWith("breaks") ? "red" : "yellow", verdict, process.stdout),
      ]),
    ]),
    ...skipped.map(({ attack, reason }) => `not run: ${attack}: ${reason}`),
  ].join("\n");
}
