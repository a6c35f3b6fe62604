/**
 * The cheap breaks as a gate: `node bench/encoding-gate.ts` draws phantoms, releases them by scheme `neuracrypt` at depth 4
 * and width 512, and ends with 1 unless the closed-form attacks reach their figures. What is checked is that the attackers
 * are as good as we say, so that what they do not break is worth a word. It takes some 50 s of processor time, half of that on two idle cores; seeded.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makePhantomCohort, openCohort, openImages } from "../src/cohort/index.ts";
import { nothingShared, runAttack } from "../src/encoding/attacks/run.ts";
import { stageRelease } from "../src/encoding/attacks/view.ts";
import { keyOf, schemes } from "../src/encoding/index.ts";
import { seededRandom } from "../src/math/random.ts";

/** What each must reach at least: figures of the issue where it has one, else well below what was measured. */
const figures: Readonly<Record<string, number>> = {
  unshuffle: 0.99,
  layout: 0.6,
  linkage: 0.9,
  "known-pairs": 0.9,
  matching: 0.9,
};

const [drawn, twins, known, size, width] = [48, 8, 32, 256, 512];
const folder = await mkdtemp(join(tmpdir(), "leadglass-gate-"));
const below: string[] = [];
try {
  const out = join(folder, "cohort");
  await makePhantomCohort({ kind: "chest", patients: 2 * drawn, seed: 1, imageSize: size, out });
  const cohort = await openCohort(out);
  const byPatient = [...Map.groupBy(cohort.records.keys(), (i) => cohort.records[i]!.patientId).values()];
  const once = await openImages(cohort, { size, normalise: "none" }).readBatch(
    byPatient.slice(0, drawn).map((all) => all[0]!),
  );
  // Linkage: some patients are imaged a second time, two pixels aside and with noise, as a retake would be.
  const noise = seededRandom(1, "retakes");
  const area = size * size;
  const pixels = new Float32Array((drawn + twins) * area);
  pixels.set(once);
  for (let t = 0; t < twins; t++)
    for (let at = 0; at < area; at++) {
      const from = at % size < 2 ? at : at - 2;
      pixels[(drawn + t) * area + at] = Math.min(1, Math.max(0, once[t * area + from]! + 0.01 * noise.gaussian()));
    }
  const { view, truth } = await stageRelease({
    pixels,
    patients: Array.from({ length: drawn + twins }, (_, i) => i % drawn),
    scheme: { ...schemes.neuracrypt, width, outputs: width },
    shape: { channels: 1, height: size, width: size },
    ...{ known, seed: 1 },
    key: keyOf(Uint8Array.from({ length: 32 }, (_, i) => (37 * i + 11) % 256)),
    random: seededRandom(1, "nonces"),
  });
  const shared = nothingShared();
  for (const [name, least] of Object.entries(figures)) {
    const { success, chance, seconds } = await runAttack(name, view, { truth, control: false, shared });
    const { value, low, high } = success!;
    const line = `${name}: ${value.toFixed(3)} [${low.toFixed(3)}, ${high.toFixed(3)}], chance ${chance!.toFixed(3)}, at least ${least} expected, ${seconds.toFixed(1)} s`;
    process.stdout.write(`${line}\n`);
    if (value < least) below.push(name);
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}
if (below.length > 0) {
  process.stdout.write(`below their figures: ${below.join(", ")}\n`);
  process.exitCode = 1;
}
