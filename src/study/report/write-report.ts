/** A study's folder as one page that opens anywhere, and as JSON. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import sharp from "sharp";
import { LeadglassError } from "../../errors.ts";
import { writeAtomically } from "../../training/checkpoint.ts";
import { studyPage } from "./study-page.ts";
import type { ShownPicture, StudyPictures } from "./study-parts.ts";
import { readCourse, readRows, studyFiles, type Picture, type ResultRow, type StudyRecord } from "../results/index.ts";
import { summarise, type StudySummary } from "./summary.ts";

const jsonFile = "report.json";

export interface StudyReport {
  /** Paths. */
  readonly report: string;
  readonly json: string;
  /** Of the page. */
  readonly bytes: number;
  readonly answer: StudySummary["answer"];
  /** Pictures that are named in the study and not shown, with why. */
  readonly leftOut: readonly { readonly path: string; readonly reason: string }[];
}

/** Pictures beyond this many bytes together are named, not shown: the page is to be mailed and opened on a phone. */
const mostPictureBytes = 2_800_000;
/** Wider pictures are made smaller. */
const widestPicture = 960;

/** A picture as a data URL of few bytes. */
async function shrunk(bytes: Uint8Array): Promise<{ url: string; width: number; bytes: number }> {
  const small = sharp(bytes).resize({ width: widestPicture, withoutEnlargement: true });
  const { width } = await small.clone().toBuffer({ resolveWithObject: true }).then(({ info }) => info); // prettier-ignore
  const forms = await Promise.all([
    small.clone().png({ compressionLevel: 9 }).toBuffer().then((data) => ({ type: "image/png", data })), // prettier-ignore
    small.clone().flatten({ background: "#ffffff" }).jpeg({ quality: 82 }).toBuffer().then((data) => ({ type: "image/jpeg", data })), // prettier-ignore
  ]);
  const { type, data } = forms.sort((a, b) => a.data.length - b.data.length)[0]!;
  return { url: `data:${type};base64,${data.toString("base64")}`, width, bytes: data.length };
}

/** Every picture that a record names, as far as they fit; what is left out comes with why. */
async function picturesOf(folder: string, { arms, attacks }: StudyRecord) {
  const asked: Picture[] = [...attacks, ...arms].flatMap(({ pictures }) => pictures);
  const pictures = new Map<string, ShownPicture>();
  const leftOut: { path: string; reason: string }[] = [];
  let bytes = 0;
  for (const picture of asked) {
    if (pictures.has(picture.path)) continue;
    const refuse = (reason: string): void => {
      leftOut.push({ path: picture.path, reason });
      pictures.set(picture.path, { ...picture, url: null, width: 0 });
    };
    const file = await readFile(join(folder, picture.path)).catch(() => null);
    if (file === null) {
      refuse("the file is gone");
      continue;
    }
    const small = await shrunk(file).catch(() => null);
    if (small === null) refuse("the file is no picture that can be read");
    else if (bytes + small.bytes > mostPictureBytes) refuse("the page would become too large");
    else {
      bytes += small.bytes;
      pictures.set(picture.path, { ...picture, url: small.url, width: small.width });
    }
  }
  return { pictures, leftOut };
}

/** Draws everything; the drawing library takes a second to load. */
async function draw(folder: string, record: StudyRecord, summary: StudySummary) {
  const { drawGroups, drawHistory, drawTradeOffs, drawUtility } = await import("./study-charts.ts");
  const { pictures, leftOut } = await picturesOf(folder, record);
  const each = <T>(of: (target: string) => T): Record<string, T> =>
    Object.fromEntries(record.targets.map((target) => [target, of(target)]));
  const histories = [];
  for (const { mark, arm } of summary.arms) {
    const lines = [];
    for (const { seed, curves } of arm.runs)
      if (curves !== undefined) lines.push({ name: `seed ${seed}`, points: await readCourse(join(folder, curves)) });
    const title = `${mark} ${arm.name}`;
    const drawing = drawHistory(lines.filter(({ points }) => points.length > 1), { title, y: "training loss", x: "step" }); // prettier-ignore
    if (drawing !== null) histories.push({ title, drawing });
  }
  const drawn: StudyPictures = {
    tradeOffs: each((target) => drawTradeOffs(summary, target)),
    utility: drawUtility(summary, record.targets),
    groups: each((target) => drawGroups(summary, target)),
    histories,
    pictures,
  };
  return { drawn, leftOut };
}

/** A study from its folder. Throws LG-STUDY-001 where there is none. */
async function readStudy(folder: string): Promise<{ record: StudyRecord; rows: ResultRow[] }> {
  const path = join(folder, studyFiles.record);
  let record: StudyRecord;
  try {
    record = JSON.parse(await readFile(path, "utf8")) as StudyRecord;
  } catch (cause) {
    throw new LeadglassError("LG-STUDY-001", `${path}: what a study says of itself cannot be read`, {
      hint: "Give the folder that study run wrote, or run the study to its end first.",
      cause,
    });
  }
  return { record, rows: await readRows(join(folder, studyFiles.results)) };
}

/**
 * Writes `report.html`, one file that loads nothing from anywhere, and `report.json`, the same for machines, into a
 * study's folder. Throws LG-STUDY-001 for a folder that holds no study.
 */
export async function writeReport(folder: string): Promise<StudyReport> {
  const { record, rows } = await readStudy(folder);
  const summary = summarise(record, rows);
  const { drawn, leftOut } = await draw(folder, record, summary);
  const text = studyPage(record, rows, summary, drawn);
  const [report, json] = [join(folder, studyFiles.report), join(folder, jsonFile)];
  await writeAtomically(report, text);
  await writeAtomically(json, `${JSON.stringify({ ...record, summary, leftOut }, null, 2)}\n`);
  return { report, json, bytes: Buffer.byteLength(text), answer: summary.answer, leftOut };
}
