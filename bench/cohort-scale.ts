/**
 * Whether memory depends on the size of a cohort, how fast a large table opens, and how fast the private ResNet9 is.
 *
 *   node bench/cohort-scale.ts [--images 809] [--rows 200000] [--image-size 256] [--batch 64] [--out FILE.json]
 *
 * Draws phantom radiographs into a temporary folder; every measurement is a process of its own, because peak memory is.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { makePhantomCohort, openCohort, openImages } from "../src/cohort/index.ts";
import { trainRun } from "../src/study/train-run.ts";

const { values } = parseArgs({
  options: {
    images: { type: "string", default: "809" },
    rows: { type: "string", default: "200000" },
    "image-size": { type: "string", default: "256" },
    batch: { type: "string", default: "64" },
    out: { type: "string" },
    measure: { type: "string" },
    cohort: { type: "string" },
    epochs: { type: "string", default: "1" },
  },
});

/** One measurement in this process, printed as JSON. */
async function measure(kind: string, cohort: string): Promise<unknown> {
  if (kind === "open") {
    const started = performance.now();
    const { records, patients, splits } = await openCohort(cohort);
    const seconds = (performance.now() - started) / 1000;
    const peakOpened = process.resourceUsage().maxRSS * 1024;
    // Images are read as they are asked for.
    const asked = performance.now();
    using store = openImages(await openCohort(cohort), { size: 64 });
    await store.readBatch([0, records.length >> 1, records.length - 1]);
    const secondsToImages = (performance.now() - asked) / 1000;
    return { rows: records.length, patients, splits, seconds, peakOpened, secondsToImages };
  }
  const steps: number[] = [];
  let before = performance.now();
  const report = await trainRun({
    cohort,
    targets: ["pneumonia"],
    out: join(cohort, "..", `run-${process.pid}`),
    ledger: join(cohort, "..", `ledgers-${process.pid}`),
    seed: 1,
    choices: {
      ...{ model: "resnet9", imageSize: Number(values["image-size"]), epsilon: 8, delta: 1e-4, unit: "image" },
      ...{ sampling: "poisson", batch: Number(values.batch), views: 1, epochs: Number(values.epochs) },
    },
    onStep: ({ unitsPerSecond }) => {
      steps.push((performance.now() - before) / 1000);
      before = performance.now();
      process.stderr.write(`step ${steps.length}: ${unitsPerSecond.toFixed(1)} images/s\n`);
    },
  });
  // The first interval holds reading and choosing a tile.
  const settled = steps.slice(1);
  return {
    images: report.images,
    steps: report.steps,
    imagesPerSecond: Number(values.batch) / (settled.reduce((a, b) => a + b, 0) / settled.length),
    peakMemoryBytes: report.peakMemoryBytes,
    seconds: report.seconds,
  };
}

const child = (kind: string, cohort: string, epochs = 1): Record<string, number> => {
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [fileURLToPath(import.meta.url), "--measure", kind, "--cohort", cohort, "--batch", values.batch, "--image-size", values["image-size"], "--epochs", String(epochs)], // prettier-ignore
    { encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] },
  );
  if (status !== 0) throw new Error(`${kind}: exit ${status}; ${stderr}`);
  return JSON.parse(stdout) as Record<string, number>;
};

/** The first `images` radiographs as training images, `times` over under other names and patients. */
async function repeated(drawn: string, out: string, images: number, times: number): Promise<void> {
  const cohort = await openCohort(drawn);
  const labels = cohort.target("pneumonia").labels;
  mkdirSync(join(out, "images"), { recursive: true });
  const lines = ["file_name,patient_id,split,pneumonia"];
  for (let k = 0; k < times; k++)
    cohort.records.slice(0, images).forEach(({ file, patientId }, i) => {
      copyFileSync(join(drawn, file), join(out, "images", `${k}-${i}.png`));
      lines.push(`images/${k}-${i}.png,${k}-${patientId},train,${labels[i]}`);
    });
  writeFileSync(join(out, "metadata.csv"), `${lines.join("\n")}\n`);
}

/** A table of many rows over hard links of a few files: a file system allows some tens of thousands to one. */
async function wide(drawn: string, out: string, rows: number): Promise<void> {
  mkdirSync(join(out, "images"), { recursive: true });
  const { records } = await openCohort(drawn);
  const lines = ["file_name,patient_id,split,age,sex,view,pneumonia,effusion,cardiomegaly,atelectasis"];
  for (let i = 0; i < rows; i++) {
    const name = `images/${i}.png`;
    const original = join(out, `original-${Math.floor(i / 20_000)}.png`);
    if (i % 20_000 === 0) copyFileSync(join(drawn, records[0]!.file), original);
    linkSync(original, join(out, name));
    const patient = Math.floor(i / 4);
    const split = patient % 10 < 7 ? "train" : patient % 10 < 8 ? "val" : "test";
    const bits = [i % 2, (i >> 1) % 2, (i >> 2) % 2, (i >> 3) % 2];
    lines.push(`${name},p${patient},${split},${20 + (i % 70)},${i % 3 ? "F" : "M"},PA,${bits.join()}`);
  }
  writeFileSync(join(out, "metadata.csv"), `${lines.join("\n")}\n`);
}

if (values.measure !== undefined) {
  console.log(JSON.stringify(await measure(values.measure, values.cohort!)));
} else {
  const root = mkdtempSync(join(tmpdir(), "leadglass-scale-"));
  try {
    const images = Number(values.images);
    const size = Number(values["image-size"]);
    const drawn = join(root, "drawn");
    await makePhantomCohort({ kind: "chest", patients: Math.ceil(images / 1.7), seed: 1, imageSize: size, out: drawn });
    const table = Number(values.rows);
    await wide(drawn, join(root, "wide"), table);
    const opened = child("open", join(root, "wide"));
    console.error(opened);
    const results: Record<string, number>[] = [];
    for (const times of [1, 2]) {
      await repeated(drawn, join(root, `times-${times}`), images, times);
      // As many steps on either cohort, so that the cohort's size is all that differs.
      results.push(child("train", join(root, `times-${times}`), 2 / times));
      console.error(results.at(-1));
    }
    const report = {
      machine: `${cpus().length} x ${cpus()[0]!.model}`,
      node: process.version,
      commit: spawnSync("git", ["rev-parse", "--short", "HEAD"], { encoding: "utf8" }).stdout.trim(),
      openTable: opened,
      resnet9: { imageSize: size, batch: Number(values.batch), once: results[0], twice: results[1] },
      memoryOfTwice: results[1]!["peakMemoryBytes"]! / results[0]!["peakMemoryBytes"]!,
    };
    const text = `${JSON.stringify(report, null, 2)}\n`;
    if (values.out !== undefined) writeFileSync(values.out, text);
    console.log(text);
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}
