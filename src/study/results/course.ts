/** The course of a training: its loss, step by step, a line each. Private: for the owner of the data. */
import { appendFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { z } from "zod";

/** The name of the file in the folder of a training. */
export const courseFile = "course.jsonl";
/** A training of many steps keeps so many of them. */
const mostPoints = 200;

interface Progress {
  readonly step: number;
  readonly steps: number;
  readonly loss: number | null;
}

/** Appends to a course as a training goes on; a training that is resumed writes on in the same file. */
export function courseRecorder(path: string): (progress: Progress) => void {
  let place = -1;
  return ({ step, steps, loss }) => {
    const next = Math.floor((step / steps) * mostPoints);
    if (loss === null || next === place) return;
    place = next;
    appendFileSync(path, `${JSON.stringify([step, loss])}\n`);
  };
}

const point = z.tuple([z.number(), z.number()]);

/**
 * The points of a course in the order of their steps; of a step that was done twice, after a crash, the last. None where
 * the file is gone. A line that was cut off by a crash is left out.
 */
export async function readCourse(path: string): Promise<{ readonly at: number; readonly value: number }[]> {
  const text = await readFile(path, "utf8").catch(() => "");
  const points = new Map<number, number>();
  for (const line of text.split("\n")) {
    let value: unknown;
    try {
      value = JSON.parse(line);
    } catch {
      continue;
    }
    const parsed = point.safeParse(value);
    if (parsed.success) points.set(...parsed.data);
  }
  return [...points].sort(([a], [b]) => a - b).map(([at, value]) => ({ at, value }));
}
