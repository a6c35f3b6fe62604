import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makePhantomCohort, openCohort, writeCohort, type Cohort } from "../cohort/index.ts";
import { encodeModel, graphOf, input, reduceMean } from "../graph/index.ts";
import { decodeImage, type PixelImage } from "../imaging/index.ts";
import { seededRandom } from "../math/random.ts";
import { judgeRun } from "./judge-run.ts";

let dir = "";
let real: Cohort;
/** A training image of each of 20 patients. */
let copied: number[] = [];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "leadglass-judge-"));
  const path = (name: string) => join(dir, name);
  await makePhantomCohort({ kind: "mass", patients: 42, seed: 1, imageSize: 64, out: path("real") });
  real = await openCohort(path("real"));
  copied = real
    .patientsOf("train")
    .slice(0, 20)
    .map(({ images }) => images[0]!);
  const table = await readFile(path("real/metadata.csv"), "utf8");
  const lines = table.trimEnd().split(/\r?\n/);
  await writeFile(
    path("real/metadata.csv"),
    lines.map((line, i) => `${line},${i === 0 ? "planted" : copied.includes(i - 1) ? 1 : 0}\n`).join(""),
  );
  real = await openCohort(path("real"));
  await makePhantomCohort({ kind: "mass", patients: 14, seed: 2, imageSize: 64, out: path("honest") });
  await copies(path("copies"));
  const image = input("image", [4, 3, 32, 32]);
  await writeFile(
    path("means.onnx"),
    encodeModel(graphOf("means", { features: reduceMean(image, [1, 2], false) }, [image])),
  );
});
afterAll(() => rm(dir, { recursive: true, force: true }));

/** A generator that memorised: each of the 20 images twice, once mirrored, with noise of two grey levels. */
async function copies(out: string): Promise<void> {
  const target = real.target("malignant");
  const random = seededRandom(7, "copies");
  async function* items() {
    for (const [k, i] of [...copied, ...copied].entries()) {
      const original = await decodeImage(await readFile(join(real.dir, real.records[i]!.file)));
      const { width, height } = original;
      const data = Uint8Array.from(original.data, (_, at) => {
        const x = k < copied.length ? at % width : width - 1 - (at % width);
        const value = original.data[at - (at % width) + x]! / (original.bitDepth === 16 ? 257 : 1);
        return Math.min(255, Math.max(0, Math.round(value + 2 * random.gaussian())));
      });
      const image: PixelImage = { width, height, channels: 1, bitDepth: 8, data };
      yield { row: { file_name: `images/${k}.png`, malignant: target.labels[i]! }, image };
    }
  }
  await writeCohort(out, items());
}

const judge = (synthetic: string, more: Partial<Parameters<typeof judgeRun>[0]> = {}) =>
  judgeRun({
    ...{ real: real.dir, synthetic: join(dir, synthetic), split: "train", canaries: "planted" },
    ...{
      out: join(dir, `judged-${synthetic}`),
      ledger: join(dir, `ledger-${synthetic}`),
      seed: 1,
      resamples: 4,
      ...more,
    },
  });

describe("judgeRun", () => {
  it("aGeneratorThatCopies_isFlagged_andItsCanariesStandOut", async () => {
    const report = await judge("copies", { target: "malignant" });
    const { memorised, spaces, memorisation } = report.nearestNeighbour;
    expect(memorised).toBe(true);
    expect(spaces).toContain("pixels");
    const { canaries, membership, suspects } = memorisation!["pixels"]!;
    // All 20 are in the training; the median canary is closer to its copy than every held-out image to anything.
    expect(canaries!.length).toBe(20);
    expect(canaries!.map(({ rank }) => rank).sort((a, b) => a - b)[10]).toBe(1);
    expect(membership.auroc.low).toBeGreaterThan(0.5);
    // Chance labels all 20 patients "trained on" in fewer than .7^20 = 8e-4 of relabellings.
    expect(suspects.pValue).toBeLessThan(0.0033);
    const closest = report.nearDuplicates.filter(({ space }) => space === "pixels");
    for (const pair of closest) {
      expect(pair.real).toBe(copied[pair.synthetic % 20]);
      expect(pair.trained).toBe(true);
    }
    const page = await readFile(report.page, "utf8");
    expect(page).toContain("MEMORISED");
    expect(page).not.toMatch(/src="(?!data:)/);
    expect(JSON.parse(await readFile(report.table, "utf8"))).toMatchObject({ frechet: { features: "radiomics" } });
  });

  it("otherPhantomsOfTheSameKind_areNotFlagged_andLieNearTheBound", async () => {
    const report = await judge("honest", { features: join(dir, "means.onnx") });
    expect(report.nearestNeighbour.memorised).toBe(false);
    expect(report.images.real).toBe(real.imagesOf("train").length);
    // One population: the unbiased kernel distance is near 0, and as much is covered as of held-out real images.
    const rows = report.fidelity.filter(({ label }) => label === null);
    expect(new Set(rows.map(({ features }) => features))).toEqual(new Set(["radiomics", "texture", "network"]));
    for (const { images, kernel, coverage } of rows) {
      if (images !== "synthetic") continue;
      expect(kernel!.low).toBeLessThan(0.3);
      expect(coverage!.coverage.value).toBeGreaterThan(0.7);
    }
    // The ledger holds both entries once, however often it is judged.
    const { path, entries } = report.ledger!;
    expect((await judge("honest", { most: 24 })).ledger!.entries).toEqual(entries);
    const lines = (await readFile(path, "utf8")).trim().split("\n");
    expect(lines.map((line) => (JSON.parse(line) as { kind: string }).kind)).toEqual(["evaluation", "owner-only"]);
  });

  it("aNetworkThatTakesSomethingElse_isRefused", async () => {
    const text = input("tokens", [1, 16]);
    await writeFile(join(dir, "text.onnx"), encodeModel(graphOf("t", { out: reduceMean(text, [1], true) }, [text])));
    await expect(judge("honest", { features: join(dir, "text.onnx") })).rejects.toMatchObject({ code: "LG-USAGE-001" });
  });
});
