/** The whole story in minutes: the study of `studies/demo.yaml`, of patients who never lived. */
import { mkdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { isLeadglassError, LeadglassError } from "../errors.ts";
import { parseStudyFile } from "./file/read.ts";
import type { AttackerBound } from "./meaning.ts";
import { writeReport } from "./report/write-report.ts";
import { runStudy, type StudyRunReport } from "./runner/run.ts";

export interface DemoOptions {
  /** Taken as it is where nothing is there; otherwise with -2, -3, ... behind it. */
  readonly out: string;
  readonly patients: number;
  readonly signal?: AbortSignal;
  readonly onNote?: (line: string) => void;
  /** Seconds done, seconds in all as far as can be told, and what is being done. */
  readonly onProgress?: (done: number, total: number, doing: string) => void;
}

export interface DemoReport extends StudyRunReport {
  /** The page. */
  readonly report: string;
  /** The study file: changed and run again into the same folder, it does only what the change concerns. */
  readonly file: string;
  /** What an attacker can do at most, by arm that was trained privately. */
  readonly attackers: Readonly<Record<string, AttackerBound>>;
}

const demoFile = new URL("../../studies/demo.yaml", import.meta.url);

/**
 * Runs the study into a folder of its own and writes its report. Interrupted or refused, it leaves nothing.
 * Throws LG-INTERRUPTED-001, LG-COHORT-015 for too few patients, and whatever a study throws.
 */
export async function runDemo({ out, patients, ...options }: DemoOptions): Promise<DemoReport> {
  const text = (await readFile(demoFile, "utf8")).replace(/patients: \d+/, `patients: ${patients}`);
  const folder = await freeFolder(out);
  const file = join(folder, "study.yaml");
  try {
    await mkdir(folder, { recursive: true });
    await writeFile(file, text);
    const done = await runStudy(parseStudyFile(text, file), { ...options, out: folder, text });
    const { report } = await writeReport(folder);
    const bounds = done.record.arms.flatMap(({ name, attacker }) => (attacker ? [[name, attacker] as const] : []));
    return { ...done, file, report, attackers: Object.fromEntries(bounds) };
  } catch (error) {
    await rm(folder, { recursive: true, force: true });
    if (isLeadglassError(error) && error.code === "LG-RUNTIME-004")
      throw new LeadglassError("LG-INTERRUPTED-001", "demo: interrupted", {
        hint: "Nothing was left behind. Run it again.",
        cause: error,
      });
    throw error;
  }
}

/** The folder itself where it is free, or the first free one of DIR-2, DIR-3, ... */
async function freeFolder(wanted: string): Promise<string> {
  const base = wanted.replace(/[/\\]+$/, "");
  for (let i = 1; ; i++) {
    const path = i === 1 ? base : `${base}-${i}`;
    const taken = await stat(path).then(
      () => true,
      (error: unknown) => {
        if ((error as NodeJS.ErrnoException).code === "ENOENT") return false;
        throw error;
      },
    );
    if (!taken) return path;
  }
}
