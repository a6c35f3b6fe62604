import { LeadglassError } from "../errors.ts";
import {
  add,
  constant,
  graphOf,
  input,
  mul,
  scalar,
  sizeOf,
  substitute,
  type Graph,
  type Value,
} from "../graph/index.ts";
import { lower } from "../graph/lower.ts";
import { simplify } from "../graph/simplify.ts";
import type { RandomSource } from "../math/random.ts";
import type { GanArchitecture, GanShape, Generator } from "../nn/index.ts";
import type { Engine, Feeds, HostTensor } from "../runtime/index.ts";

/** From tanh's range to pixels in [0, 1]. */
const pixels = (image: Value): Value => add(mul(image, scalar(0.5)), scalar(0.5));

/** Fresh noise, and one-hot classes as they are given. */
export function drawLatents(
  { latent, grain }: Pick<Generator, "latent" | "grain">,
  classes: readonly number[],
  count: number,
  random: RandomSource,
): Record<string, HostTensor> {
  const normals = (shape: readonly number[]): HostTensor => ({
    data: Float32Array.from({ length: sizeOf(shape) }, () => random.gaussian()),
    shape,
  });
  return {
    latent: normals(latent.shape),
    classes: oneHot(classes, count),
    ...(grain ? { grain: normals(grain.shape) } : {}),
  };
}

export function oneHot(classes: readonly number[], count: number): HostTensor {
  const data = new Float32Array(classes.length * count);
  classes.forEach((c, i) => (data[i * count + c] = 1));
  return { data, shape: [classes.length, count] };
}

/** Draws with the averaged weights of a training that is under way, batch normalisation by the batch. */
export function averageSampleGraph(architecture: GanArchitecture, shape: GanShape, averaging: boolean): Graph {
  const generator = architecture.generator(shape);
  const replaced = new Map<Value, Value>(
    averaging ? generator.parameters.map((p) => [p.value, input(`average/${p.name}`, p.value.shape)]) : [],
  );
  const outputs = {
    image: pixels(generator.image),
    ...Object.fromEntries(
      generator.moments.flatMap((m) => [
        [`${m.name}.mean`, m.mean],
        [`${m.name}.variance`, m.variance],
      ]),
    ),
  };
  const values = substitute(Object.values(outputs), replaced);
  return simplify(lower(graphOf("samples", Object.fromEntries(Object.keys(outputs).map((n, i) => [n, values[i]!])))));
}

/**
 * The finished generator: `latent`, one-hot `classes` and `grain` to `image` [rows, 1, size, size] in [0, 1], weights
 * inside. Throws LG-RUNTIME-003 where the weights are another architecture's.
 */
export function samplerGraph(
  architecture: GanArchitecture,
  shape: GanShape,
  weights: Readonly<Record<string, Float32Array>>,
): Graph {
  const generator = architecture.generator(shape, { stored: true });
  const graph = graphOf("generator", { image: pixels(generator.image) });
  const free = new Set(["latent", "classes", "grain"]);
  const replaced = new Map<Value, Value>(
    graph.inputs
      .filter((i) => !free.has(i.name))
      .map((i) => {
        const data = weights[i.name];
        if (data?.length !== sizeOf(i.shape))
          throw new LeadglassError("LG-RUNTIME-003", `the weights lack ${i.name} of this generator`, {
            hint: "These weights belong to another architecture.",
          });
        return [i, constant(data, i.shape, "float32", i.name)];
      }),
  );
  const [image] = substitute([graph.outputs[0]!.value], replaced);
  const inputs = graph.inputs.filter((i) => free.has(i.name));
  return simplify(graphOf("generator", { image: image! }, inputs));
}

const sampleRows = 16;

/** Draws images [1, size, size] of the given classes one after another, in [0, 1]. */
export async function* drawSamples(options: {
  readonly engine: Engine;
  readonly architecture: GanArchitecture;
  readonly shape: Omit<GanShape, "rows">;
  readonly weights: Readonly<Record<string, Float32Array>>;
  readonly classes: readonly number[];
  readonly random: RandomSource;
}): AsyncGenerator<Float32Array> {
  const { engine, architecture, weights, classes, random } = options;
  const shape = { ...options.shape, rows: sampleRows };
  const generator = architecture.generator(shape, { stored: true });
  await using program = await engine.load(lower(samplerGraph(architecture, shape, weights)));
  const size = shape.imageSize ** 2;
  for (let i = 0; i < classes.length; i += sampleRows) {
    const chunk = classes.slice(i, i + sampleRows);
    const padded = [...chunk, ...Array<number>(sampleRows - chunk.length).fill(0)];
    const feeds: Feeds = drawLatents(generator, padded, shape.classes, random);
    const { image } = await program.run(feeds);
    for (let j = 0; j < chunk.length; j++)
      yield (image!.data as Float32Array).slice(j * size, (j + 1) * size).map((v) => Math.min(1, Math.max(0, v)));
  }
}
