import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { decodeNifti, toVolume } from "../../imaging/index.ts";
import { seededRandom } from "../../math/random.ts";
import { openCohort } from "../cohort.ts";
import { makePhantomCohort } from "./make.ts";
import { drawPerson } from "./population.ts";
import { drawAbdomen } from "./volume-drawing.ts";
import type { Scan } from "./volume-drawing.ts";
import { drawBody, volume, withFindings } from "./volume.ts";

const person = (i: number) => drawPerson(seededRandom(1, "person", i), i, 0.48);

it("volumes_areAbdominalCt_upright_inHounsfieldUnits", async () => {
  const root = await mkdtemp(join(tmpdir(), "leadglass-volume-"));
  try {
    const out = join(root, "cohort");
    await makePhantomCohort({ kind: "volume", patients: 12, seed: 1, imageSize: 32, out });
    const stored = new Set<string>();
    for (const { file } of (await openCohort(out)).records) {
      const image = await decodeNifti(await readFile(join(out, file)));
      stored.add(image.affine.map((row, i) => Math.sign(row[i]!)).join());
      const { shape, spacingMm, data } = toVolume(image);
      expect(shape).toEqual([20, 32, 32]);
      // The stretch of the body is the same at any size: 200 to 220 mm, by the protocols.
      expect(shape[0] * spacingMm[0]).toBeGreaterThan(199.9);
      expect(shape[0] * spacingMm[0]).toBeLessThan(220.1);
      const share = (test: (hu: number) => boolean) => data.filter(test).length / data.length;
      expect(share((hu) => hu < -900)).toBeGreaterThan(0.3); // air around the body
      expect(share((hu) => hu > -150 && hu < -60)).toBeGreaterThan(0.02); // fat
      expect(share((hu) => hu > 20 && hu < 160)).toBeGreaterThan(0.06); // muscle and organs
      const count = (place: (y: number, x: number) => boolean, low: number, high: number) => {
        let sum = 0;
        for (let z = 8; z < 15; z++)
          for (let y = 0; y < 32; y++)
            for (let x = 0; x < 32; x++) {
              const hu = data[(z * 32 + y) * 32 + x]!;
              if (place(y, x) && hu > low && hu < high) sum++;
            }
        return sum;
      };
      // The spine is at the back, the liver on the right.
      const midline = (x: number) => Math.abs(x - 15.5) < 4;
      const behind = count((y, x) => y < 16 && midline(x), 230, 3000);
      expect(behind).toBeGreaterThan(2 * count((y, x) => y >= 16 && midline(x), 230, 3000));
      const right = count((y, x) => y > 13 && x >= 18, 30, 200);
      expect(right).toBeGreaterThan(count((y, x) => y > 13 && x < 14, 30, 200));
    }
    expect([...stored].sort()).toEqual(["-1,-1,1", "-1,1,1", "1,1,1"]); // each hospital stores its own way round
  } finally {
    await rm(root, { recursive: true, force: true });
  }
});

it("lesions_goWithAgeAndDiabetes", () => {
  // Illness is drawn before any voxel, so this costs no drawing.
  const people = Array.from({ length: 4000 }, (_, i) => person(i));
  const ill = people.map((p, i) => volume.draw(p, seededRandom(1, "images", i), { size: 64, difficulty: 0.5 }).labels["lesion"]!); // prettier-ignore
  const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
  const agesOf = (label: 0 | 1) => people.filter((_, i) => ill[i] === label).map((p) => p.ageYears);
  // By the risks of volume.ts, 0.5 on the logit scale for 16 years: the mean ages differ by about 7 years with a standard
  // error of 0.5, and about 47 % are ill with one of 0.8 %.
  expect(Math.abs(mean(agesOf(1)) - mean(agesOf(0)) - 7)).toBeLessThan(2.5);
  expect(Math.abs(mean(ill) - 0.47)).toBeLessThan(0.05);
  // Diabetes adds 0.6 on that scale, and is a little more frequent with age: 0.15 to 0.2 more often ill, error 0.02.
  const shareOf = (name: string) => mean(ill.filter((_, i) => people[i]!.comorbidity === name));
  expect(shareOf("diabetes") - shareOf("none")).toBeGreaterThan(0.09);
});

it("theLesion_isDarkInThePancreas_andNowhereElse_fainterWithDifficulty", () => {
  const scan: Scan = {
    arteries: 120,
    veins: 125,
    organs: 58,
    pancreas: 58,
    kidneys: 145,
    shift: [0, 0, 0],
    turn: 0,
    noise: 12,
    offset: 0,
    blur: 0,
    shape: [26, 44, 44],
    spacingMm: [4, 4, 4],
  };
  const dropAt = (difficulty: number) => {
    const drops: number[] = [];
    for (let i = 0; i < 4; i++) {
      const body = drawBody(person(i), seededRandom(3, "body", i));
      const { abdomen, lesions } = withFindings(body, true, difficulty, seededRandom(3, "lesion", i));
      const lesion = lesions[0]!;
      // The same noise twice, so that all that differs is the lesion.
      const [well, ill] = [[], lesions].map((drawn) => drawAbdomen(abdomen, drawn, scan, seededRandom(3, "scan", i)));
      let [sum, voxels, elsewhere] = [0, 0, 0];
      ill!.data.forEach((hu, at) => {
        const place = [at % 44, Math.floor(at / 44) % 44, Math.floor(at / 1936)] as const;
        const q = Math.hypot(
          ...place.map((v, a) => {
            const mm = (v + 0.5 - [22, 22, 13][a]!) * 4;
            return (mm - lesion.centre[a]!) / Math.max(...lesion.radii);
          }),
        );
        // Uneven surfaces, bent places (3 mm) and soft edges reach at most this far.
        if (q > 2.6 && hu !== well!.data[at]) elsewhere++;
        if (q > 0.5) return;
        sum += hu;
        voxels++;
      });
      expect(elsewhere).toBe(0);
      drops.push(42 + scan.pancreas - sum / voxels);
    }
    return drops.reduce((a, b) => a + b) / drops.length;
  };
  // By volume.ts: 62 x grade (1.35 at difficulty 0 and 0.6 at 1) x (0.6 + 0.4 x 58/75 = 0.91): 76 and 34 Hounsfield units,
  // spread of 25 % over 4 patients: standard errors of 10 and 4.
  expect(Math.abs(dropAt(0) - 76)).toBeLessThan(28);
  expect(Math.abs(dropAt(1) - 34)).toBeLessThan(16);
});
