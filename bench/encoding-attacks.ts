/**
 * What the closed-form attacks take from encodings of real chest x-rays, scheme by scheme. Run as
 *   node bench/encoding-attacks.ts OUT.json [--case depth-4,depth-0,...] [--width 512] [--seed 1]
 * Rows that OUT.json has are kept, so it can be interrupted; picture sheets are written beside it.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { openCohort, openImages } from "../src/cohort/index.ts";
import { pick, pixelsOfPatches } from "../src/encoding/attacks/arrays.ts";
import { psnr, ssim } from "../src/encoding/attacks/fidelity.ts";
import { pictureSheet } from "../src/encoding/attacks/sheet.ts";
import { nothingShared, reconstruct, runAttack } from "../src/encoding/attacks/run.ts";
import { attackNames } from "../src/encoding/attacks/table.ts";
import { stageRelease } from "../src/encoding/attacks/view.ts";
import { schemes, type Scheme } from "../src/encoding/schemes/index.ts";
import { seededRandom, shuffle } from "../src/math/random.ts";
import { mean } from "../src/math/statistics.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    case: { type: "string", default: "depth-4" },
    width: { type: "string", default: "512" },
    seed: { type: "string", default: "1" },
    images: { type: "string", default: "128" },
    known: { type: "string", default: "32" },
    pictures: { type: "boolean", default: false },
    attacks: { type: "string" },
    data: { type: "string", default: "../shared/data/nih-cxr-256" },
  },
});
const out = positionals[0] ?? "encoding-attacks.json";
const [width, seed, images, known] = [values.width, values.seed, values.images, values.known].map(Number) as [
  number,
  number,
  number,
  number,
];
const base: Scheme = { ...schemes.neuracrypt, width, outputs: width };
const sized = (scheme: Scheme): Scheme => ({ ...scheme, width, outputs: Math.min(scheme.outputs, width) });
const cases: Record<string, Scheme> = {
  ...Object.fromEntries([0, 4, 10].map((depth) => [`depth-${depth}`, { ...base, depth }])),
  ...Object.fromEntries(
    (
      [
        "linear",
        "position-scaled",
        "position-removed",
        "position-keyed",
        "mixed",
        "narrow",
        "dropped",
        "noisy",
      ] as const
    ).map((name) => [name, sized(schemes[name])]),
  ),
};
type Row = Record<string, unknown>;
const rows: Row[] = existsSync(out) ? (JSON.parse(readFileSync(out, "utf8")) as Row[]) : [];

// One image of most patients and two of some, so that linkage can be scored; matching is by image.
const cohort = await openCohort(values.data);
const byPatient = [...Map.groupBy(cohort.records.keys(), (i) => cohort.records[i]!.patientId).values()];
const drawn = shuffle(byPatient, seededRandom(seed, "patients"));
const twice = drawn.filter((all) => all.length > 1).slice(0, Math.floor(images / 8));
const once = drawn.filter((all) => !twice.includes(all)).slice(0, images - 2 * twice.length);
const chosen = shuffle(
  [
    ...twice.flatMap((all, p) => all.slice(0, 2).map((i) => [i, p] as const)),
    ...once.map((all, p) => [all[0]!, twice.length + p] as const),
  ],
  seededRandom(seed, "order"),
);
const store = openImages(cohort, { size: 256, normalise: "none" });
const pixels = await store.readBatch(chosen.map(([i]) => i));
const shape = { channels: 1, height: 256, width: 256 };

for (const name of values.case.split(",")) {
  const scheme = cases[name]!;
  const key = `${name}, width ${width}, ${images} images, seed ${seed}`;
  if (rows.some((row) => row["name"] === key)) continue;
  const { view, truth } = await stageRelease({
    pixels,
    patients: chosen.map(([, p]) => p),
    scheme,
    shape,
    known,
    seed,
    random: seededRandom(seed, "nonces"),
  });
  const shared = nothingShared();
  const row: Row = { name: key };
  for (const attack of values.attacks?.split(",") ?? attackNames) {
    const {
      candidates: _,
      knowledge: __,
      ...report
    } = await runAttack(attack, view, { truth, control: false, shared });
    row[attack] = report;
    process.stdout.write(`${key}: ${attack} ${JSON.stringify(report)}\n`);
  }
  if (values.pictures) {
    // The second half of the encodings has no original in the attacker's hands: decoded with what the first half gave.
    const half = images / 2;
    const range = (from: number, to: number) => Array.from({ length: to - from }, (_, k) => from + k);
    const originals = pixelsOfPatches(pick(view.candidates, truth.candidateOf), { ...shape, side: scheme.patch }).map(
      (x) => x * scheme.pixels.deviation + scheme.pixels.mean,
    );
    const firstCandidates = [...truth.candidateOf.subarray(0, half)].sort((a, b) => a - b);
    const held = range(half, images);
    const each = (set: Float32Array, i: number) => set.subarray(i * 65536, (i + 1) * 65536);
    const truthOf = held.map((i) => each(originals, i));
    const average = new Float32Array(65536);
    for (let i = 0; i < half; i++) each(originals, i).forEach((x, at) => (average[at]! += x / half));
    const found = {
      knownPairs: await reconstruct("known-pairs", view, held),
      noPair: await reconstruct(
        "matching",
        {
          ...view,
          codes: pick(view.codes, range(0, half)),
          candidates: pick(view.candidates, firstCandidates),
          known: [],
        },
        held,
        pick(view.codes, held),
      ),
    };
    const sets: Record<string, Float32Array[]> = {
      original: truthOf,
      ...Object.fromEntries(
        Object.entries(found).flatMap(([k, set]) => (set ? [[k, held.map((_, i) => each(set, i))]] : [])),
      ),
      chance: held.map(() => average),
    };
    row["reconstruction"] = Object.fromEntries(
      Object.entries(sets)
        .slice(1)
        .map(([k, set]) => [
          k,
          {
            ssim: mean(set.map((x, i) => ssim(x, truthOf[i]!, 256, 256))),
            psnr: mean(set.map((x, i) => psnr(x, truthOf[i]!))),
          },
        ]),
    );
    process.stdout.write(`${JSON.stringify(row["reconstruction"])}\n`);
    const sheet = await pictureSheet(
      Object.values(sets).map((set) => set.slice(0, 6)),
      { height: 256, width: 256 },
    );
    writeFileSync(join(dirname(out), `${name}.png`), sheet);
  }
  rows.push(row);
  writeFileSync(out, `${JSON.stringify(rows, null, 2)}\n`);
}
