import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { courseRecorder, readCourse } from "./course.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "leadglass-course-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it("aCourseThatWasResumed_isOneCourse_andItsCutOffLineIsLeftOut", async () => {
  const path = join(folder, "course.jsonl");
  const first = courseRecorder(path);
  for (const step of [1, 2, 3]) first({ step, steps: 5, loss: 1 / step });
  await appendFile(path, "[4, 0.2");
  await appendFile(path, "\n");
  const resumed = courseRecorder(path);
  for (const step of [3, 4, 5]) resumed({ step, steps: 5, loss: 10 * step });
  expect(await readCourse(path)).toEqual([
    { at: 1, value: 1 },
    { at: 2, value: 0.5 },
    { at: 3, value: 30 },
    { at: 4, value: 40 },
    { at: 5, value: 50 },
  ]);
});

it("manySteps_keepFewPoints_andAStepWithoutALossNone", async () => {
  const path = join(folder, "long.jsonl");
  const record = courseRecorder(path);
  for (let step = 1; step <= 10_000; step++) record({ step, steps: 10_000, loss: step % 2 === 0 ? 1 : null });
  const points = await readCourse(path);
  expect(points.length).toBeLessThanOrEqual(201);
  expect(points.at(-1)!.at).toBe(10_000);
  expect(await readCourse(join(folder, "none"))).toEqual([]);
});
