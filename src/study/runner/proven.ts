/** What is proven of the patients of an arm. */
import { join } from "node:path";
import { accountantNamed, bestAccountant, eventOf, parsePlan, type DpPlan } from "../../privacy/index.ts";
import { readRun } from "../run-folder.ts";
import type { TrainOutput } from "./model-tasks.ts";
import type { PlannedArm } from "./plan.ts";
import type { GeneratorOutput, SamplesOutput } from "./synthetic-tasks.ts";
import { taskFolder, type Outcome, type Task } from "./task.ts";

/** The study's folder and how its tasks ended. */
interface Finished {
  readonly out: string;
  readonly outcomes: ReadonlyMap<Task, Outcome>;
}

export interface Proven {
  readonly epsilon: number;
  readonly delta: number;
  readonly unit: string;
}

/** What is proven of an arm: of its training, of its generator where it saw synthetic images alone, or of both together. */
export async function provenOf(
  planned: PlannedArm,
  {
    reports,
    samples,
    ...where
  }: Finished & { readonly reports: readonly TrainOutput["report"][]; readonly samples: SamplesOutput | undefined },
): Promise<Proven | null> {
  const { arm } = planned;
  const own = samples?.privacy ?? null;
  if (arm.kind === "synthetic" && (arm.use === "only" || own === null)) return arm.use === "only" ? own : null;
  const privacy = reports[0]?.privacy;
  if (!privacy || reports.some((report) => report.privacy === null)) return null;
  const { epsilon, delta, unit } = privacy;
  if (arm.kind !== "synthetic") return { epsilon, delta, unit };
  // What holds for a patient holds for each of his images, and not the other way round.
  if (own!.unit === "image" && unit !== "image") return null;
  const generator = where.outcomes.get(planned.generator as Task);
  const trained = await planOf(planned, where);
  const { batches } =
    generator?.state === "done"
      ? (await readRun((generator.output as GeneratorOutput).run)).settings
      : { batches: null };
  // Of images that came with no plan only epsilon and delta are known, and they add up.
  if (!trained || batches?.kind !== "private")
    return { epsilon: epsilon + own!.epsilon, delta: delta + own!.delta, unit };
  const drawn = parsePlan(batches.plan);
  const events = [eventOf(drawn, drawn.steps), eventOf(trained, trained.steps)];
  const relation = [drawn, trained].some((plan) => plan.relation === "replace-one")
    ? "replace-one"
    : "add-or-remove-one";
  return { epsilon: accountantNamed(bestAccountant(events)).epsilon(events, delta, relation).upper, delta, unit };
}

/** The plan of an arm's first finished training; null where it has no privacy. */
export async function planOf({ seeds }: PlannedArm, { out, outcomes }: Finished): Promise<DpPlan | null> {
  const trained = seeds.map((seed) => seed.trained as Task).find((task) => outcomes.get(task)?.state === "done");
  if (!trained) return null;
  const { batches } = (await readRun(join(taskFolder(out, trained), "run"))).settings;
  return batches.kind === "private" ? parsePlan(batches.plan) : null;
}
