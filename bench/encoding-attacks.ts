/**
 * What attacks take from encodings of chest x-rays and what a classifier learns from them, scheme by scheme. Run as
 *   node bench/encoding-attacks.ts OUT.json [--case depth-4,depth-0,...|all] [--attacks NAME,...|all] [--width 512] [--utility]
 *     [--pictures] [--data COHORT | --phantoms PATIENTS] [--target Pneumonia] [--attribute sex=M] [--seed 1] [--table FILE.md]
 * Rows and attacks that OUT.json has are kept, so it can be interrupted; picture sheets are written beside it. --table puts
 * what OUT.json holds into FILE.md, between the marks that name it, and runs nothing that is not asked for.
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { makePhantomCohort, openCohort, openImages, type Target } from "../src/cohort/index.ts";
import { pick, pixelsOfPatches } from "../src/encoding/attacks/arrays.ts";
import { fidelity, type Fidelity } from "../src/encoding/attacks/fidelity.ts";
import { nothingShared, reconstruct, runAttack, type AttackReport } from "../src/encoding/attacks/run.ts";
import { pictureSheet } from "../src/encoding/attacks/sheet.ts";
import { attackNames } from "../src/encoding/attacks/table.ts";
import { stageRelease, type AttackTruth, type AttackView } from "../src/encoding/attacks/view.ts";
import { encodeCohort, makeKey, openRelease, predictOnRelease, schemes, trainOnReleases, type Scheme } from "../src/encoding/index.ts"; // prettier-ignore
import { isLeadglassError } from "../src/errors.ts";
import { evaluateScores, type MetricInterval } from "../src/evaluation/index.ts";
import { seededRandom, shuffle } from "../src/math/random.ts";
import { startEngine } from "../src/runtime/index.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    case: { type: "string" },
    attacks: { type: "string", default: "unshuffle,layout,linkage,known-pairs,matching,mmd,attribute,membership" },
    width: { type: "string", default: "512" },
    seed: { type: "string", default: "1" },
    images: { type: "string", default: "128" },
    known: { type: "string", default: "32" },
    utility: { type: "boolean", default: false },
    pictures: { type: "boolean", default: false },
    data: { type: "string", default: "../shared/data/nih-cxr-256" },
    phantoms: { type: "string" },
    target: { type: "string", default: "Pneumonia" },
    attribute: { type: "string", default: "sex=M" },
    table: { type: "string" },
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
const variants = ["position-scaled", "position-removed", "position-keyed", "mixed", "narrow", "dropped", "noisy"] as const; // prettier-ignore
const cases: Record<string, Scheme> = {
  linear: sized(schemes.linear),
  ...Object.fromEntries([0, 4, 10].map((depth) => [`depth-${depth}`, { ...base, depth }])),
  ...Object.fromEntries(variants.map((name) => [name, sized(schemes[name])])),
};

interface Row {
  readonly case: string;
  readonly width: number;
  readonly images: number;
  readonly data: string;
  readonly seed: number;
  readonly attacks: Record<string, Omit<AttackReport, "knowledge">>;
  utility?: MetricInterval & { readonly images: number; readonly testedOn: number };
  reconstruction?: Record<string, Fidelity>;
}
const rows: Row[] = existsSync(out) ? (JSON.parse(readFileSync(out, "utf8")) as Row[]) : [];
const save = (): void => writeFileSync(out, `${JSON.stringify(rows, null, 2)}\n`);

/** One image of most patients and two of some, so that linkage can be scored; as many of other patients stay outside. */
async function stage() {
  const folder = await mkdtemp(join(tmpdir(), "leadglass-attacks-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  if (values.phantoms !== undefined)
    await makePhantomCohort({ kind: "chest", patients: Number(values.phantoms), seed, imageSize: 256, out: join(folder, "cohort") }); // prettier-ignore
  const cohort = await openCohort(values.phantoms === undefined ? values.data : join(folder, "cohort"));
  const byPatient = [...Map.groupBy(cohort.records.keys(), (i) => cohort.records[i]!.patientId).values()];
  const drawn = shuffle(byPatient, seededRandom(seed, "patients"));
  const twice = drawn.filter((all) => all.length > 1).slice(0, Math.floor(images / 8));
  const once = drawn.filter((all) => !twice.includes(all));
  const inside = once.slice(0, images - 2 * twice.length);
  const chosen = shuffle(
    [
      ...twice.flatMap((all, p) => all.slice(0, 2).map((i) => [i, p] as const)),
      ...inside.map((all, p) => [all[0]!, twice.length + p] as const),
    ],
    seededRandom(seed, "order"),
  );
  const outside = once.slice(inside.length, inside.length + images).map((all) => all[0]!);
  const store = openImages(cohort, { size: 256, normalise: "none" });
  const [target, attribute] = [cohort.target(values.target), cohort.target(values.attribute)];
  const valuesOf = ({ labels, present }: Target, of: readonly number[]): number[] =>
    of.map((i) => (present[i] === 1 ? labels[i]! : Number.NaN));
  const all = chosen.map(([i]) => i);
  return {
    ...{ folder, cohort, target },
    release: {
      pixels: await store.readBatch(all),
      patients: chosen.map(([, p]) => p),
      labels: valuesOf(target, all),
      attribute: { name: values.attribute, values: valuesOf(attribute, all) },
      outside: {
        pixels: await store.readBatch(outside),
        labels: valuesOf(target, outside),
        targets: Math.min(16, outside.length),
      },
    },
  };
}

const shape = { channels: 1, height: 256, width: 256 };

/** Test AUROC of the default model on encodings of the whole cohort under one key. */
async function utilityOf(scheme: Scheme, { cohort, target, folder }: Awaited<ReturnType<typeof stage>>) {
  const dir = join(folder, "release");
  rmSync(dir, { recursive: true, force: true });
  const { order } = await encodeCohort({ cohort, key: makeKey(), scheme, targets: [target], size: 256, out: dir });
  await using release = await openRelease(dir);
  await using engine = await startEngine();
  const targets = Object.keys(release.labels.targets);
  const { trained, images: trainedOn } = await trainOnReleases({ engine, releases: [release], targets, seed: "1" });
  const rowsOf = release.imagesOf("test").filter((i) => target.present[order[i]!] === 1);
  const scores = await predictOnRelease({ engine, trained, release, images: rowsOf });
  const { auroc } = evaluateScores({
    ...{ scores, threshold: 0.5, seed: 1 },
    labels: rowsOf.map((i) => target.labels[order[i]!]!),
    patients: rowsOf.map((i) => cohort.records[order[i]!]!.patientId),
  });
  return { ...auroc, images: trainedOn, testedOn: rowsOf.length };
}

/** Mean SSIM and PSNR of what two attackers decode of the second half, beside the mean image; and a sheet of pictures. */
async function reconstructions(name: string, view: AttackView, truth: AttackTruth) {
  const half = images / 2;
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, k) => from + k);
  const { mean, deviation } = view.scheme.pixels;
  const originals = pixelsOfPatches(pick(view.candidates, truth.candidateOf), { ...shape, side: view.scheme.patch }).map((x) => x * deviation + mean); // prettier-ignore
  const firstCandidates = [...truth.candidateOf.subarray(0, half)].sort((a, b) => a - b);
  const held = range(half, images);
  const each = (set: Float32Array, i: number) => set.subarray(i * 65536, (i + 1) * 65536);
  const truths = held.map((i) => each(originals, i));
  const average = new Float32Array(65536);
  for (let i = 0; i < half; i++) each(originals, i).forEach((x, at) => (average[at]! += x / half));
  const part = {
    codes: pick(view.codes, range(0, half)),
    candidates: pick(view.candidates, firstCandidates),
    known: [],
  };
  const found = {
    knownPairs: await reconstruct("known-pairs", view, held),
    noPair: await reconstruct("matching", { ...view, ...part }, held, pick(view.codes, held)),
  };
  const sets: Record<string, Float32Array[]> = {
    original: truths,
    ...Object.fromEntries(Object.entries(found).flatMap(([k, set]) => (set ? [[k, held.map((_, i) => each(set, i))]] : []))), // prettier-ignore
    chance: held.map(() => average),
  };
  const sheet = await pictureSheet(
    Object.values(sets).map((set) => set.slice(0, 6)),
    { height: 256, width: 256 },
  );
  writeFileSync(join(dirname(out), `${name}.png`), sheet);
  return Object.fromEntries(
    Object.entries(sets)
      .slice(1)
      .map(([k, set]) => [k, fidelity(set, truths, { height: 256, width: 256 })]),
  );
}

const asked = values.case === "all" ? Object.keys(cases) : (values.case?.split(",") ?? []);
const staged = asked.length > 0 ? await stage() : undefined;
for (const name of staged ? asked : []) {
  const scheme = cases[name]!;
  const data = values.phantoms === undefined ? basename(values.data) : `phantoms ${values.phantoms}`;
  let row = rows.find((r) => r.case === name && r.width === width && r.images === images && r.data === data && r.seed === seed); // prettier-ignore
  if (!row) rows.push((row = { case: name, width, images, data, seed, attacks: {} }));
  const missing = (values.attacks === "all" ? attackNames : values.attacks.split(",").filter(Boolean)).filter(
    (a) => !row.attacks[a],
  );
  if (missing.length > 0 || (values.pictures && !row.reconstruction)) {
    const { view, truth } = await stageRelease({
      ...{ ...staged!.release, scheme, shape, known, seed },
      key: { secret: seededRandom(seed, "key").bytes(32) },
      random: seededRandom(seed, "nonces"),
    });
    const shared = nothingShared();
    for (const attack of missing) {
      try {
        const { candidates: _c, imitations: _i, knowledge: _k, ...report } = await runAttack(attack, view, { truth, control: false, shared }); // prettier-ignore
        row.attacks[attack] = report;
        process.stdout.write(`${name}, width ${width}: ${attack} ${JSON.stringify(report)}\n`);
      } catch (error) {
        if (!isLeadglassError(error) || error.code !== "LG-USAGE-001") throw error;
        process.stdout.write(`${name}, width ${width}: ${attack} does not apply: ${error.message}\n`);
      }
      save();
    }
    if (values.pictures && !row.reconstruction) row.reconstruction = await reconstructions(name, view, truth);
    save();
  }
  if (values.utility && !row.utility) {
    row.utility = await utilityOf(scheme, staged!);
    process.stdout.write(`${name}: utility ${JSON.stringify(row.utility)}\n`);
    save();
  }
}

if (values.table !== undefined) {
  const share = ({ value, low, high }: { value: number | null; low: number | null; high: number | null }): string =>
    value === null ? "" : `${value.toFixed(2)} [${low!.toFixed(2)}, ${high!.toFixed(2)}]`;
  for (const data of new Set(rows.map((r) => r.data))) {
    const here = rows.filter((r) => r.data === data && r.width === width);
    const common = Object.keys(cases).flatMap((c) => here.find((r) => r.case === c) ?? []);
    const columns = attackNames.filter((a) => common.filter((r) => r.attacks[a]).length > 2);
    const chanceOf = (a: string): string => {
      const chances = common.flatMap((r) => r.attacks[a]?.chance ?? []);
      return Math.max(...chances).toFixed(3);
    };
    const table = [
      ["scheme", "test AUROC", ...columns],
      ["---", "---", ...columns.map(() => "---")],
      ["*chance*", "0.5", ...columns.map(chanceOf)],
      ...common.map((r) => [
        r.case,
        // What an attacker misses in a release that teaches nothing is no privacy.
        r.utility ? `${share(r.utility)}${r.utility.low! <= 0.5 ? ", nothing learned" : ""}` : "not run",
        ...columns.map((a) => (r.attacks[a]?.success ? share(r.attacks[a].success) : "does not apply")),
      ]),
    ];
    const text = table.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
    const page = readFileSync(values.table, "utf8");
    const [from, to] = [`<!-- table ${data} width ${width} -->`, "<!-- end of table -->"];
    const start = page.indexOf(from);
    if (start < 0) process.stdout.write(`${from}\n${text}\n${to}\n`);
    else {
      const end = page.indexOf(to, start);
      writeFileSync(values.table, `${page.slice(0, start)}${from}\n\n${text}\n\n${page.slice(end)}`);
    }
  }
}
