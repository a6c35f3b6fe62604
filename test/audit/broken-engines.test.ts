import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { seededRandom } from "../../src/math/random.ts";
import { startEngine, type Engine } from "../../src/runtime/index.ts";
import { tossCanaries } from "../../src/training/canaries.ts";
import { audits, cases, verdicts } from "./audits.ts";
import { correct, openLaboratory } from "./broken-engines.ts";

// One training each with fixed seeds; how often each engine is caught, and the right one accused, is counted in
// broken-engines.slow.test.ts.
describe("audits of engines", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine({ threads: 1 });
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
  });

  it.each(cases)("$engine: caught by $by", async ({ audit, parts }) => {
    const [found] = await verdicts(engine, audit, parts, ["seed 0"]);
    expect(found!.lower).toBeGreaterThan(found!.upper);
  });

  it.each(Object.entries(audits))("aRightEngine_isNotAccusedBy %s", async (_, audit) => {
    const [found] = await verdicts(engine, audit, correct, ["seed 0"]);
    expect(found!.lower).toBeLessThanOrEqual(found!.upper);
  });

  it("theRightPieces_areTheProduct", async () => {
    // What is broken here is broken in nothing else: unbroken, the composition releases what the trainer itself releases.
    const { plan } = audits["one run"];
    await using laboratory = await openLaboratory(engine, plan, 100);
    const included = tossCanaries(100, seededRandom("product"));
    const [ours, theirs] = [
      await laboratory.run(correct, included, "product"),
      await laboratory.runProduct(included, "product"),
    ];
    expect(theirs).toHaveLength(plan.steps);
    expect(ours).toEqual(theirs);
  });
});
