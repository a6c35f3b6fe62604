import { parquetWriteBuffer } from "hyparquet-writer";
import { mkdir, mkdtemp, rm, symlink, unlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodePng } from "../imaging/index.ts";
import { checkCohort } from "./check.ts";
import type { CohortCheck } from "./check.ts";
import { openCohort, requireBothClasses } from "./cohort.ts";

let root = "";
let count = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), "leadglass-cohort-"));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const png = (seed: number) =>
  encodePng({
    width: 8,
    height: 8,
    channels: 1,
    bitDepth: 8,
    data: Uint8Array.from({ length: 64 }, (_, i) => (i * i * 13 + seed * 29) % 256),
  });

/** A folder with an image for every name and the given texts; returns its path. */
async function folder(names: readonly string[], texts: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const dir = join(root, `c${count++}`);
  await mkdir(dir);
  for (const [i, name] of names.entries()) {
    await mkdir(dirname(join(dir, name)), { recursive: true });
    await writeFile(join(dir, name), await png(i));
  }
  for (const [name, text] of Object.entries(texts)) await writeFile(join(dir, name), text);
  return dir;
}
const six = ["a.png", "b.png", "c.png", "d.png", "e.png", "f.png"];
/** Six images of five patients, two in each split, both classes in each. */
const goodRows = [
  "file_name,patient_id,split,ill,age,sex",
  "a.png,p1,train,1,60,F",
  "b.png,p1,train,0,60,F",
  "c.png,p2,val,1,17,M",
  "d.png,p3,val,0,45,M",
  "e.png,p4,test,1,80,F",
  "f.png,p5,test,0,,F",
];
const good = (edit: (rows: string[]) => string[] = (rows) => rows) =>
  folder(six, { "metadata.csv": `${edit([...goodRows]).join("\n")}\n` });
const swap = (row: number, text: string) => (rows: string[]) => rows.with(row, text);

/** The error that a promise ends in. */
async function failure(promise: Promise<unknown>) {
  const error = (await promise.then(
    () => undefined,
    (e: unknown) => e,
  )) as { code: string; message: string; hint: string; exitCode: number };
  expect(error, "an error was expected").toBeDefined();
  return error;
}
const codes = (check: CohortCheck, severity = "error") =>
  check.problems.filter((p) => p.severity === severity).map((p) => p.code);

describe("openCohort", () => {
  it("readsPatientsSplitsTargetsAndAttributes", async () => {
    const cohort = await openCohort(await good());
    expect(cohort.records).toHaveLength(6);
    expect(cohort.patients).toBe(5);
    expect(cohort.splits).toEqual(["train", "val", "test"]);
    expect(cohort.targets).toEqual(["ill"]);
    expect(cohort.attributes).toEqual(["age", "sex"]);
    expect(cohort.warnings).toEqual([]);
    expect(cohort.patientsOf("train")).toEqual([{ patientId: "p1", images: [0, 1] }]);
    expect(cohort.imagesOf("test")).toEqual([4, 5]);
    expect(cohort.column("age")).toEqual(["60", "60", "17", "45", "80", null]);
    expect(cohort.target("ill")).toMatchObject({ positives: 3, negatives: 3, missing: 0 });
  });

  it("csv_withByteOrderMark_quotedCommas_lineBreaksInCells_andCrlf_works", async () => {
    const text =
      "\uFEFFfile_name,note,ill\r\n" +
      'a.png,"upper, left",1\r\n"b, 2.png","two\r\nlines, ""quoted""",0\r\nc.png,,\r\n';
    const cohort = await openCohort(await folder(["a.png", "b, 2.png", "c.png"], { "metadata.csv": text }));
    expect(cohort.records.map((r) => r.file)).toEqual(["a.png", "b, 2.png", "c.png"]);
    expect(cohort.column("note")).toEqual(["upper, left", 'two\r\nlines, "quoted"', null]);
    expect([...cohort.target("ill").labels]).toEqual([1, 0, 0]);
    expect([...cohort.target("ill").present]).toEqual([1, 1, 0]);
  });

  it("parquet_readsLikeCsv", async () => {
    const columnData = [
      { name: "file_name", data: ["a.png", "b.png", "c.png"] },
      { name: "patient_id", data: [1, 2, 3] },
      { name: "split", data: ["train", "validation", "test"] },
      { name: "ill", data: [true, false, true] },
      { name: "age", data: [61.5, null, 70] },
    ];
    const bytes = new Uint8Array(parquetWriteBuffer({ columnData }));
    const cohort = await openCohort(await folder(six.slice(0, 3), { "metadata.parquet": bytes }));
    expect(cohort.records.map((r) => [r.patientId, r.split])).toEqual([
      ["1", "train"],
      ["2", "val"],
      ["3", "test"],
    ]);
    expect([...cohort.target("ill").labels]).toEqual([1, 0, 1]);
    expect(cohort.column("age")).toEqual(["61.5", null, "70"]);
  });

  it("missingPatientColumn_isSaidLoudly_andEachImageIsAPatient", async () => {
    const dir = await folder(six, {
      "metadata.csv": `file_name,ill\n${six.map((f, i) => `${f},${i % 2}`).join("\n")}`,
    });
    const cohort = await openCohort(dir);
    expect(cohort.warnings.map((w) => w.code)).toEqual(["LG-COHORT-016", "LG-COHORT-017"]);
    expect(cohort.patients).toBe(6);
  });

  it("missingSplitColumn_splitsPatientsBySeed_keepingThemWhole_balanced_regardlessOfRowOrder", async () => {
    const names = Array.from({ length: 200 }, (_, i) => `${i}.png`);
    const rows = names.map((name, i) => `${name},p${i >> 1},${(i >> 1) % 4 === 0 ? 1 : 0}`);
    const [one, two] = [
      await folder(names, { "metadata.csv": ["file_name,patient_id,ill", ...rows].join("\n") }),
      await folder(names, { "metadata.csv": ["file_name,patient_id,ill", ...rows.toReversed()].join("\n") }),
    ];
    const splitsOf = async (dir: string, splitSeed = 0) =>
      new Map((await openCohort(dir, { splitSeed })).records.map((r) => [r.patientId, r.split]));
    const splits = await splitsOf(one);
    expect(await splitsOf(two)).toEqual(splits);
    expect(await splitsOf(one, 1)).not.toEqual(splits);
    const cohort = await openCohort(one);
    // 100 patients at 70/15/15, of whom 25 positive: 17.5, 3.75, 3.75, each to the next whole patient.
    expect(["train", "val", "test"].map((s) => cohort.patientsOf(s).length)).toEqual([70, 15, 15]);
    const { labels } = cohort.target("ill");
    for (const [split, expected] of [
      ["train", 17.5],
      ["val", 3.75],
      ["test", 3.75],
    ] as const)
      // prettier-ignore
      expect(Math.abs(cohort.imagesOf(split).filter((i) => labels[i] === 1).length / 2 - expected)).toBeLessThanOrEqual(1);
  });

  it("fingerprint_changesWithLabelPatientSplitAndFile_andOnlyThen", async () => {
    const print = async (dir: string) => (await openCohort(dir)).fingerprint;
    const base = await print(await good());
    expect(base).toMatch(/^[0-9a-f]{64}$/);
    expect(await print(await good())).toBe(base);
    for (const row of ["a.png,p1,train,,60,F", "a.png,p9,train,1,60,F", "a.png,p1,train,1,61,F"])
      expect(await print(await good(swap(1, row)))).not.toBe(base);
    const longer = await good();
    await writeFile(join(longer, "a.png"), Buffer.concat([await png(0), Buffer.alloc(1)]));
    expect(await print(longer)).not.toBe(base);
  });
});

describe("targets", () => {
  it("textColumn_becomesATarget_byNamingTheValue", async () => {
    const target = (await openCohort(await good())).target("sex=F");
    expect([...target.labels]).toEqual([1, 1, 0, 0, 1, 1]);
    expect(target).toMatchObject({ name: "sex=F", column: "sex", positives: 4, negatives: 2 });
  });

  it("textColumn_withoutAValue_saysHow_andShowsNoCell", async () => {
    const cohort = await openCohort(await good());
    const error = await failure((async () => cohort.target("sex"))());
    expect(error).toMatchObject({ code: "LG-COHORT-012", exitCode: 3 });
    expect(error.message).toMatch(/metadata\.csv, data row 1: column "sex" .* \(text of length 1\)/);
    expect(error.hint).toContain("--target sex=VALUE");
  });

  it("labelThatIsNot01OrBlank_namesRowAndColumn_neverTheValue", async () => {
    const cohort = await openCohort(await good(swap(3, "c.png,p2,val,secret,17,M")));
    const error = await failure((async () => cohort.target("ill"))());
    expect(error).toMatchObject({ code: "LG-COHORT-012", exitCode: 3 });
    expect(error.message).toContain("data row 3");
    expect(error.message).toContain("text of length 6");
    expect(`${error.message}${error.hint}`).not.toContain("secret");
  });

  it("oneClass_isRefused_overallAndInASplit", async () => {
    const cohort = await openCohort(await good((rows) => rows.map((r) => r.replace(/,0,/, ",1,"))));
    expect(await failure((async () => cohort.target("ill"))())).toMatchObject({ code: "LG-COHORT-013", exitCode: 3 });
    const other = await openCohort(await good(swap(2, "b.png,p1,train,1,60,F")));
    requireBothClasses(other, other.target("ill"), "val");
    const split = await failure((async () => requireBothClasses(other, other.target("ill"), "train"))());
    expect(split.code).toBe("LG-COHORT-013");
    expect(split.message).toContain('split "train"');
    const misspelt = await failure((async () => other.target("sex=f"))());
    expect(misspelt).toMatchObject({ code: "LG-COHORT-013" });
  });

  it("missingColumn_listsTheColumnsThereAre", async () => {
    const cohort = await openCohort(await good());
    const error = await failure((async () => cohort.target("malignant"))());
    expect(error).toMatchObject({ code: "LG-COHORT-004", exitCode: 3 });
    expect(error.hint).toContain("file_name, patient_id, split, ill, age, sex");
  });

  it("manifest_mapsValues_uncertainLabels_patientSplitAndAttributes", async () => {
    const csv = [
      "file_name,subject,fold,finding,edema,centre",
      "a.png,s1,training,MALIGNANT,1.0,x",
      "b.png,s2,valid,BENIGN,-1.0,y",
      "c.png,s3,test,UNPROVEN,0.0,z",
      "d.png,s4,test,BENIGN_WITHOUT_CALLBACK,,z",
    ].join("\n");
    const yaml = [
      "targets:",
      "  malignant: { column: finding, values: { MALIGNANT: 1, BENIGN: 0, BENIGN_WITHOUT_CALLBACK: 0, UNPROVEN: missing } }",
      "  edema: { uncertain: positive }",
      "  benign: { column: finding, positive: [BENIGN, BENIGN_WITHOUT_CALLBACK] }",
      "patient: subject",
      "split: fold",
      "attributes: [centre]",
    ].join("\n");
    const cohort = await openCohort(await folder(six.slice(0, 4), { "metadata.csv": csv, "cohort.yaml": yaml }));
    expect(cohort.targets).toEqual(["malignant", "edema", "benign"]);
    expect(cohort.attributes).toEqual(["centre"]);
    expect(cohort.splits).toEqual(["train", "val", "test"]);
    expect([...cohort.target("malignant").labels]).toEqual([1, 0, 0, 0]);
    expect([...cohort.target("malignant").present]).toEqual([1, 1, 0, 1]);
    expect([...cohort.target("edema").labels]).toEqual([1, 1, 0, 0]);
    expect([...cohort.target("edema").present]).toEqual([1, 1, 1, 0]);
    expect([...cohort.target("benign").labels]).toEqual([0, 1, 0, 1]);
    expect(cohort.records[0]!.patientId).toBe("s1");
  });

  // The published rule of NeuraCrypt's code (chest_xray.py:86-93): "1.0" is 1; "0.0" is 0; else 0 where "No Finding" is "1.0";
  // else the row is dropped.
  it("healthyColumn_makesNegativesOfWhatIsMissing", async () => {
    const csv = [
      "file_name,Edema,No Finding",
      "a.png,1.0,",
      "b.png,0.0,",
      "c.png,,1.0",
      "d.png,-1.0,1.0",
      "e.png,-1.0,",
      "f.png,,",
    ].join("\n");
    const yaml = "targets: { edema: { column: Edema, uncertain: missing, healthy: No Finding } }";
    const cohort = await openCohort(await folder(six, { "metadata.csv": csv, "cohort.yaml": yaml }));
    const { labels, present, negatives, missing } = cohort.target("edema");
    expect([...labels]).toEqual([1, 0, 0, 0, 0, 0]);
    expect([...present]).toEqual([1, 1, 1, 1, 0, 0]);
    expect({ negatives, missing }).toEqual({ negatives: 3, missing: 2 });
  });

  it("uncertainLabel_withoutARule_isRefused_notGuessed", async () => {
    const cohort = await openCohort(await good(swap(1, "a.png,p1,train,-1,60,F")));
    expect(await failure((async () => cohort.target("ill"))())).toMatchObject({ code: "LG-COHORT-012" });
  });

  it.each([
    ["targts: {}", "targts"],
    ["targets: { ill: { values: { yes: 2 } } }", "targets.ill.values.yes"],
    ["targets: { ill: { positive: 1, values: { a: 1 } } }", "positive or values"],
    ["targets: [", "line"],
  ])("manifest %s_isRefusedWithItsPlace", async (yaml, place) => {
    const dir = await good();
    await writeFile(join(dir, "cohort.yaml"), yaml);
    const error = await failure(openCohort(dir));
    expect(error).toMatchObject({ code: "LG-COHORT-003", exitCode: 3 });
    expect(error.message).toContain(place);
  });

  it("manifest_namingAColumnThatIsNotThere_isRefused", async () => {
    for (const yaml of ["patient: subject", "split: fold", "targets: { x: }", "attributes: [centre]"]) {
      const dir = await good();
      await writeFile(join(dir, "cohort.yaml"), yaml);
      expect(await failure(openCohort(dir))).toMatchObject({ code: "LG-COHORT-004", exitCode: 3 });
    }
  });
});

describe("bad input", () => {
  const row1 = "a.png,p1,train,1,60,F";
  /** Each breaks the good cohort in one way; place is what the message must contain. */
  const cases: {
    name: string;
    code: string;
    place: string;
    edit?: (rows: string[]) => string[];
    break?: (dir: string) => Promise<void>;
  }[] = [
    { name: "no metadata", code: "LG-COHORT-001", place: "c", break: (dir) => unlink(join(dir, "metadata.csv")) },
    {
      name: "two tables",
      code: "LG-COHORT-002",
      place: "both",
      break: (dir) => writeFile(join(dir, "metadata.parquet"), "x"),
    },
    { name: "no rows", code: "LG-COHORT-002", place: "no data row", edit: (rows) => rows.slice(0, 1) },
    { name: "row too short", code: "LG-COHORT-002", place: "data row 2", edit: swap(2, "b.png,p1,train") },
    { name: "open quote", code: "LG-COHORT-002", place: "metadata.csv", edit: swap(2, '"b.png,p1,train,0,60,F') },
    {
      name: "semicolons",
      code: "LG-COHORT-002",
      place: "one column",
      edit: (r) => r.map((x) => x.replaceAll(",", ";")),
    },
    {
      name: "a column twice",
      code: "LG-COHORT-002",
      place: '"sex"',
      edit: swap(0, "file_name,patient_id,split,ill,sex,sex"),
    },
    {
      name: "not UTF-8",
      code: "LG-COHORT-002",
      place: "UTF-8",
      break: (dir) => writeFile(join(dir, "metadata.csv"), Buffer.from("file_name\nf\xfcr.png\n", "latin1")),
    },
    {
      name: "no file_name column",
      code: "LG-COHORT-004",
      place: "file_name",
      edit: swap(0, "image,patient_id,split,ill,age,sex"),
    },
    {
      name: "path traversal",
      code: "LG-COHORT-005",
      place: "data row 1",
      edit: swap(1, row1.replace("a.png", "../x/a.png")),
    },
    {
      name: "hidden traversal",
      code: "LG-COHORT-005",
      place: "data row 1",
      edit: swap(1, row1.replace("a.png", "x/../../a.png")),
    },
    {
      name: "absolute path",
      code: "LG-COHORT-005",
      place: "data row 1",
      edit: swap(1, row1.replace("a.png", "/etc/passwd")),
    },
    {
      name: "Windows path",
      code: "LG-COHORT-005",
      place: "data row 1",
      edit: swap(1, row1.replace("a.png", "..\\a.png")),
    },
    { name: "blank file_name", code: "LG-COHORT-005", place: "data row 1", edit: swap(1, row1.replace("a.png", "")) },
    {
      name: "link out of the folder",
      code: "LG-COHORT-005",
      place: "data row 1",
      break: async (dir) => {
        await writeFile(join(root, "outside.png"), await png(1));
        await unlink(join(dir, "a.png"));
        await symlink(join(root, "outside.png"), join(dir, "a.png"));
      },
    },
    {
      name: "file named twice",
      code: "LG-COHORT-006",
      place: "data rows 1 and 2",
      edit: swap(2, "./a.png,p1,train,0,60,F"),
    },
    { name: "missing image", code: "LG-COHORT-007", place: "data row 4", break: (dir) => unlink(join(dir, "d.png")) },
    {
      name: "folder instead of an image",
      code: "LG-COHORT-007",
      place: "data row 4",
      break: async (dir) => {
        await unlink(join(dir, "d.png"));
        await mkdir(join(dir, "d.png"));
      },
    },
    { name: "blank patient", code: "LG-COHORT-008", place: "data row 1", edit: swap(1, row1.replace("p1", "")) },
    {
      name: "patient in two splits",
      code: "LG-COHORT-009",
      place: "data rows 1 and 3",
      edit: swap(3, "c.png,p1,val,1,17,M"),
    },
    { name: "blank split", code: "LG-COHORT-010", place: "data row 3", edit: swap(3, "c.png,p2,,1,17,M") },
  ];
  for (const { name, code, place, edit, break: damage } of cases)
    it(`${name}_isRefusedWithCodePlaceAndRemedy_byOpenAndCheckAlike`, async () => {
      const dir = await good(edit);
      await damage?.(dir);
      const error = await failure(openCohort(dir));
      expect(error).toMatchObject({ code, exitCode: 3 });
      expect(error.message).toContain(place);
      expect(error.hint.length).toBeGreaterThan(10);
      const fatal = ["LG-COHORT-001", "LG-COHORT-002", "LG-COHORT-004"].includes(code);
      if (fatal) expect(await failure(checkCohort(dir))).toMatchObject({ code });
      else expect(codes(await checkCohort(dir))).toContain(code);
    });

  it("emptySplit_isRefusedWhenAskedFor_andListedByCheck", async () => {
    const dir = await good((rows) => rows.map((row) => row.replace(",val,", ",test,")));
    const cohort = await openCohort(dir);
    const error = await failure((async () => cohort.patientsOf("val"))());
    expect(error).toMatchObject({ code: "LG-COHORT-011", exitCode: 3 });
    expect(error.hint).toContain("train (2), test (4)");
    expect(codes(await checkCohort(dir), "warning")).toContain("LG-COHORT-011");
    const noTrain = await good((rows) => rows.map((row) => row.replace(",train,", ",val,")));
    expect(codes(await checkCohort(noTrain))).toContain("LG-COHORT-011");
  });

  it("severalErrors_openNamesTheFirstAndCountsTheOthers", async () => {
    const dir = await good();
    await unlink(join(dir, "a.png"));
    await unlink(join(dir, "f.png"));
    expect((await failure(openCohort(dir))).message).toContain("and 1 more");
  });

  it("messages_carryNoFileName_unlessAsked", async () => {
    const dir = await good(swap(1, "MRN-0815-Mueller.png,p1,train,1,60,F"));
    const quiet = await failure(openCohort(dir));
    expect(JSON.stringify([quiet.message, quiet.hint])).not.toMatch(/0815|Mueller/);
    // printf %s MRN-0815-Mueller.png | sha256sum | head -c 6
    expect(quiet.message).toMatch(/file #[0-9a-f]{6} is not there/);
    expect((await failure(openCohort(dir, { showNames: true }))).message).toContain("MRN-0815-Mueller.png");
    expect(JSON.stringify((await checkCohort(dir)).problems)).not.toMatch(/0815|Mueller/);
  });
});

describe("checkCohort", () => {
  it("goodCohort_hasNoProblem_andCountsAreRight", async () => {
    const dir = await good();
    const seen: number[] = [];
    const check = await checkCohort(dir, { onProgress: (done, total) => seen.push(done / total) });
    expect(check.problems).toEqual([]);
    expect(check).toMatchObject({ images: 6, patients: 5, unreadable: 0 });
    expect(check.splits).toEqual({
      train: { images: 2, patients: 1 },
      val: { images: 2, patients: 2 },
      test: { images: 2, patients: 2 },
    });
    expect(check.formats).toEqual({ "8 x 8, 1 channel, 8 bit": 6 });
    expect(check.counts).toContainEqual({ by: "ill", value: "1", split: "val", images: 1, patients: 1 });
    expect(check.counts).toContainEqual({ by: "sex", value: "F", split: "train", images: 2, patients: 1 });
    expect(check.counts).toContainEqual({ by: "age", value: "0-17", split: "val", images: 1, patients: 1 });
    expect(check.counts).toContainEqual({ by: "age", value: "unknown", split: "test", images: 1, patients: 1 });
    expect(check.fingerprint).toBe((await openCohort(dir)).fingerprint);
    expect(seen.at(-1)).toBe(1);
    expect(seen).toHaveLength(6);
  });

  it("truncatedPng_andTextNamedPng_areListedByRow", async () => {
    const dir = await good();
    const whole = await png(2);
    await writeFile(join(dir, "c.png"), whole.subarray(0, whole.length - 20));
    await writeFile(join(dir, "e.png"), "not an image");
    const check = await checkCohort(dir);
    expect(check.unreadable).toBe(2);
    expect(check.problems.map((p) => [p.code, p.rows])).toEqual([
      ["LG-IMAGE-001", [3]],
      ["LG-IMAGE-001", [5]],
    ]);
  });

  it("identicalImages_acrossSplitsAreAnError_withinOneAWarning_alsoWhenReencoded", async () => {
    const dir = await good();
    const sharp = (await import("sharp")).default;
    await writeFile(
      join(dir, "f.png"),
      await sharp(await png(0))
        .toColourspace("b-w")
        .png({ compressionLevel: 0 })
        .toBuffer(),
    );
    await writeFile(join(dir, "d.png"), await png(2));
    const check = await checkCohort(dir);
    const found = check.problems.map((p) => [p.code, p.severity, p.rows]);
    expect(found).toEqual([
      ["LG-COHORT-019", "error", [1, 6]],
      ["LG-COHORT-019", "warning", [3, 4]],
    ]);
  });

  it("filesWithoutRow_constantImages_andUnreadableAges_areWarnings", async () => {
    const dir = await good(swap(1, "a.png,p1,train,1,old,F"));
    await writeFile(join(dir, "extra.png"), await png(77));
    const flat = { width: 8, height: 8, channels: 1, bitDepth: 8, data: new Uint8Array(64) } as const;
    await writeFile(join(dir, "b.png"), await encodePng(flat));
    const check = await checkCohort(dir);
    expect(codes(check)).toEqual([]);
    expect(codes(check, "warning").sort()).toEqual(["LG-COHORT-018", "LG-COHORT-020", "LG-COHORT-021"]);
  });

  it("contentFingerprint_changesWithASinglePixel", async () => {
    const dir = await good();
    const before = (await checkCohort(dir)).contentFingerprint;
    await writeFile(join(dir, "a.png"), await png(50));
    expect((await checkCohort(dir)).contentFingerprint).not.toBe(before);
  });

  it("abortedSignal_endsWithTheInterruptedCode", async () => {
    const signal = AbortSignal.abort();
    expect(await failure(checkCohort(await good(), { signal }))).toMatchObject({ code: "LG-INTERRUPTED-001" });
  });
});
