/** The courses of trainings that a study kept. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { ArmRecord } from "../results/index.ts";

/** The course of a training: lines over steps or epochs. */
const curvesSchema = z.object({
  /** What the places are, for example "step". */
  over: z.string(),
  lines: z.array(z.object({ name: z.string(), points: z.array(z.tuple([z.number(), z.number()])) })),
});
export type Curves = z.infer<typeof curvesSchema>;

/** The lines of one quantity over the seeds of an arm. */
export interface Course {
  readonly what: string;
  readonly over: string;
  readonly lines: readonly {
    readonly name: string;
    readonly points: readonly { readonly at: number; readonly value: number }[];
  }[];
}

/** What an arm's trainings kept, a quantity each. A file that is gone or is none is left out: no figure rests on it. */
export async function coursesOf(folder: string, { runs }: ArmRecord): Promise<Course[]> {
  const found: { seed: number; curves: Curves }[] = [];
  for (const { seed, curves: path } of runs) {
    if (path === undefined) continue;
    const text = await readFile(join(folder, path), "utf8").catch(() => "null");
    const parsed = curvesSchema.safeParse(JSON.parse(text));
    if (parsed.success) found.push({ seed, curves: parsed.data });
  }
  const names = new Set(found.flatMap(({ curves }) => curves.lines.map(({ name }) => name)));
  return [...names].map((what) => ({
    ...{ what, over: found[0]!.curves.over },
    lines: found.flatMap(({ seed, curves }) =>
      curves.lines
        .filter(({ name }) => name === what)
        .map(({ points }) => ({ name: `seed ${seed}`, points: points.map(([at, value]) => ({ at, value })) })),
    ),
  }));
}
