/**
 * Seconds an image of private encodings: the network alone, and `encode` with reading, shuffling and writing; and training
 * on the release. `node bench/encoding.ts [--images 128] [--size 256] [--scheme neuracrypt] [--out FILE]`; two threads by
 * default are the machine's. Nothing else should run meanwhile. The figure goes to standard output as JSON.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { makePhantomCohort, openCohort } from "../src/cohort/index.ts";
import {
  encodeCohort,
  makeKey,
  openRelease,
  patchGrid,
  schemeNamed,
  secretParameters,
  startEncoder,
  trainOnReleases,
} from "../src/encoding/index.ts";
import { startEngine } from "../src/runtime/index.ts";

const { values: flags } = parseArgs({
  options: {
    images: { type: "string", default: "128" },
    size: { type: "string", default: "256" },
    scheme: { type: "string", default: "neuracrypt" },
    rounds: { type: "string", default: "5" },
    out: { type: "string" },
  },
});
const [images, size, rounds] = [Number(flags.images), Number(flags.size), Number(flags.rounds)];
const scheme = schemeNamed(flags.scheme);
const shape = { channels: 1, height: size, width: size };
const folder = await mkdtemp(join(tmpdir(), "leadglass-bench-"));
const seconds = (since: number): number => (performance.now() - since) / 1000;
const peakMiB = (): number => Math.round(process.resourceUsage().maxRSS / 1024);

try {
  // Patients have 2.3 images on average.
  await makePhantomCohort({
    kind: "chest",
    patients: Math.max(10, Math.ceil(images / 2)),
    seed: 1,
    imageSize: size,
    out: join(folder, "cohort"),
  });
  const cohort = await openCohort(join(folder, "cohort"));
  const chosen = [...cohort.records.keys()].slice(0, images);
  const key = makeKey();

  const drawing = performance.now();
  await using engine = await startEngine();
  await using encoder = await startEncoder(engine, scheme, key, shape);
  const drawn = seconds(drawing);
  const pixels = new Float32Array(8 * size * size).map((_, i) => ((i * 2654435761) % 1009) / 1009);
  await encoder.encode(pixels);
  const network: number[] = [];
  for (let r = 0; r < rounds; r++) {
    const started = performance.now();
    await encoder.encode(pixels);
    network.push(seconds(started) / 8);
  }

  const memory: { images: number; peakMiB: number }[] = [];
  const release = join(folder, "release");
  const target = cohort.target("cardiomegaly");
  const encoded = await encodeCohort({
    ...{ cohort, images: chosen, key, scheme, targets: [target], size, out: release },
    onProgress: (done) => void memory.push({ images: done, peakMiB: peakMiB() }),
  });

  await using opened = await openRelease(release);
  const training = performance.now();
  const { trained, images: trainedOn } = await trainOnReleases({
    ...{ engine, releases: [opened], targets: ["cardiomegaly"], seed: "1" },
  });
  const result = {
    cpu: cpus()[0]?.model,
    cores: cpus().length,
    scheme: scheme.name,
    secretParameters: secretParameters(scheme, shape),
    image: [size, size],
    patches: patchGrid(scheme, shape).patches,
    secondsToDrawAndCompile: drawn,
    networkSecondsPerImage: network.sort((a, b) => a - b)[Math.floor(rounds / 2)],
    encodeSecondsPerImage: encoded.secondsPerImage,
    bytesPerImage: encoded.bytes / chosen.length,
    peakMiBHalfway: memory[Math.floor(memory.length / 2)]?.peakMiB,
    peakMiB: memory.at(-1)?.peakMiB,
    training: {
      model: trained.choices.model,
      images: trainedOn,
      epochs: trained.choices.epochs,
      seconds: seconds(training),
    },
  };
  const text = `${JSON.stringify(result, null, 2)}\n`;
  process.stdout.write(text);
  if (flags.out !== undefined) await writeFile(flags.out, text);
} finally {
  await rm(folder, { recursive: true, force: true });
}
