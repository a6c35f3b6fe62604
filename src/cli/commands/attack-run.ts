import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { attackNames, attacks, reconstruct, runAttack, type AttackReport } from "../../encoding/attacks/table.ts";
import { pixelsOfPatches } from "../../encoding/attacks/arrays.ts";
import { pictureSheet } from "../../encoding/attacks/sheet.ts";
import type { Unshuffled } from "../../encoding/attacks/unshuffle.ts";
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
      seed: { kind: "whole", value: "N", about: "of whatever is drawn", initial: 0, atLeast: 0 },
      budget: {
        kind: "number",
        value: "SECONDS",
        about: "no further attack is begun after this long",
        initial: 3600,
        above: 0,
      },
      out: { kind: "text", value: "DIR", about: "write findings, the table and a picture of reconstructions there" },
      ...(name === "all" ? {} : { "no-control": { kind: "flag", about: "leave the positive control out" } }),
    } as {
      release: { kind: "text"; value: string; about: string; required: true };
      public: { kind: "text"; value: string; about: string; required: true };
      answers: { kind: "text"; value: string; about: string };
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
      });
      const control = !("no-control" in options && (options as { "no-control"?: boolean })["no-control"]);
      const asked = name === "all" ? attackNames : [name];
      const shared = new Map<string, Unshuffled>();
      const started = performance.now();
      const reports: AttackReport[] = [];
      const skipped: { attack: string; reason: string }[] = [];
      using progress = terminal.progress("attacking", "attacks");
      for (const [at, each] of asked.entries()) {
        progress.update(at, asked.length, each);
        if (at > 0 && (performance.now() - started) / 1000 > options.budget) {
          skipped.push({ attack: each, reason: "the budget was spent" });
          continue;
        }
        const attempt = runAttack(each, view, { ...(truth ? { truth } : {}), control, shared });
        // In a table of all, what an attack lacks is said in its row.
        const result = await (name === "all"
          ? attempt.catch((error: Error) => void skipped.push({ attack: each, reason: error.message }))
          : attempt);
        if (!result) continue;
        const { candidates, ...report } = result;
        reports.push(report);
        if (options.out !== undefined && candidates) {
          await mkdir(options.out, { recursive: true });
          const ranks = Array.from(candidates, (c) => [challenge.candidates[c]!]);
          await writeFile(join(options.out, `${each}.json`), `${JSON.stringify({ ranks })}\n`);
        }
      }
      if (options.out !== undefined) {
        await mkdir(options.out, { recursive: true });
        await writeFile(
          join(options.out, "attacks.json"),
          `${JSON.stringify({ attacks: reports, skipped }, null, 2)}\n`,
        );
        for (const each of ["known-pairs", "matching"] as const)
          if (asked.includes(each)) await drawReconstructions(each, view, truth?.candidateOf, options.out);
      }
      progress.update(asked.length, asked.length);
      return {
        json: name === "all" ? { attacks: reports, skipped } : reports[0],
        text: textOf(reports, skipped),
      };
    },
  });

/** Original, reconstruction and the mean image, for six encodings that are no known pairs. */
async function drawReconstructions(
  name: "known-pairs" | "matching",
  view: Parameters<typeof reconstruct>[1],
  candidateOf: Int32Array | undefined,
  out: string,
): Promise<void> {
  if (!candidateOf || view.shape.channels !== 1 || (name === "known-pairs" && view.known.length < 4)) return;
  const known = new Set(view.known.map((pair) => pair.encoding));
  const which = [...candidateOf.keys()].filter((i) => !known.has(i)).slice(0, 6);
  const found = await reconstruct(name, view, which);
  if (!found) return;
  const { height, width } = view.shape;
  const size = height * width;
  const { mean, deviation } = view.scheme.pixels;
  const pixels = pixelsOfPatches(view.candidates, { ...view.shape, side: view.scheme.patch }).map(
    (x) => x * deviation + mean,
  );
  const average = new Float32Array(size);
  pixels.forEach((x, at) => (average[at % size]! += x / view.candidates.images));
  const row = (set: Float32Array, indices: readonly number[]) =>
    indices.map((i) => set.slice(i * size, (i + 1) * size));
  const sheet = await pictureSheet(
    [
      row(
        pixels,
        which.map((i) => candidateOf[i]!),
      ),
      row(found, [...which.keys()]),
      which.map(() => average),
    ],
    { height, width },
  );
  await writeFile(join(out, `${name}.png`), sheet);
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
