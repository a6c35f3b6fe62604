import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readFileSync } from "node:fs";
import { graphOf } from "../graph/index.ts";
import { lower } from "../graph/lower.ts";
import { seededRandom, shuffle } from "../math/random.ts";
import { startEngine, type Engine } from "../runtime/index.ts";
import { featureModel, initialParameters, joinedLogits, parameterCount, type Model } from "./model.ts";
import { setTransformer, type SetTransformerOptions } from "./set-transformer.ts";

const modelOf = (rows: number, elements: number, width: number, options?: SetTransformerOptions): Model =>
  featureModel("set-transformer", rows, [elements, width], (scope, x) => setTransformer(scope, x, 2, options));

describe("setTransformer", () => {
  let engine: Engine;
  beforeAll(async () => {
    engine = await startEngine({ threads: 1 });
  });
  afterAll(async () => {
    await engine[Symbol.asyncDispose]();
  });
  const answer = async (model: Model, weights: Record<string, Float32Array>, x: Float32Array): Promise<number[]> => {
    await using program = await engine.load(
      lower(graphOf("g", { logits: joinedLogits(model, weights) }, [model.image])),
    );
    const { logits } = await program.run({ features: { data: x.slice(), shape: model.features.shape } });
    return [...(logits!.data as Float32Array)];
  };

  it("parameters_areThoseOfThePublishedClassifier", () => {
    // Live parameters of the published code with two classes, section 3 of its specification.
    expect(parameterCount(modelOf(1, 256, 2048))).toBe(20_998_226);
  });

  it("answer_doesNotDependOnTheOrderOfTheElements", async () => {
    const [elements, width] = [9, 16];
    const model = modelOf(1, elements, width, { heads: 2, headWidth: 4, layers: 2 });
    const random = seededRandom("elements");
    const weights = initialParameters(model, random);
    const x = Float32Array.from({ length: elements * width }, () => random.gaussian());
    const before = await answer(model, weights, x);
    for (let k = 0; k < 5; k++) {
      const order = shuffle([...Array(elements).keys()], random);
      const moved = Float32Array.from(x, (_, i) => x[order[Math.floor(i / width)]! * width + (i % width)]!);
      const after = await answer(model, weights, moved);
      // Sums in another order: float32 rounding.
      after.forEach((v, i) => expect(Math.abs(v - before[i]!)).toBeLessThan(1e-5));
    }
  });

  it("answer_isTheOneOfPyTorch", async () => {
    // fixtures/set-transformer.py: torch with the formula of the published code.
    const f = JSON.parse(readFileSync(new URL("./fixtures/set-transformer.json", import.meta.url), "utf8")) as {
      [name in "rows" | "elements" | "width" | "heads" | "headWidth"]: number;
    } & { parameters: Record<string, number[]>; x: number[]; logits: number[] };
    const model = modelOf(f.rows, f.elements, f.width, { heads: f.heads, headWidth: f.headWidth });
    const weights = Object.fromEntries(Object.entries(f.parameters).map(([name, v]) => [name, Float32Array.from(v)]));
    const logits = await answer(model, weights, Float32Array.from(f.x));
    logits.forEach((v, i) => expect(Math.abs(v - f.logits[i]!)).toBeLessThan(1e-4));
  });
});
