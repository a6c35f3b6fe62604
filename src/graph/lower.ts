import { geluParts, groupNormalizationComposed, mishParts } from "./compositions.ts";
import { substitute, type Graph } from "./graph.ts";
import { transposedByProducts } from "./transposed-convolution.ts";
import { floatOf, intOf, stringOf } from "./shape.ts";
import type { Node, Value } from "./value.ts";
import { convByFewerProducts, convTransposeByFewerProducts } from "./winograd.ts";

type Lowering = (node: Node, inputs: readonly (Value | undefined)[]) => readonly Value[] | undefined;

/** Operators that ONNX Runtime's CPU provider runs slowly, and what to run instead. */
const lowerings: Readonly<Record<string, Lowering>> = {
  Mish: (_, [x]) => [mishParts(x!).y],
  Gelu: (node, [x]) => (stringOf(node.attributes, "approximate", "none") === "none" ? [geluParts(x!).y] : undefined),
  GroupNormalization: (node, [x, scale, bias]) => [
    groupNormalizationComposed(
      x!,
      scale!,
      bias!,
      intOf(node.attributes, "num_groups", 1),
      floatOf(node.attributes, "epsilon", 1e-5),
    ),
  ],
  Conv: (node, [x, w, bias]) => {
    const y = convByFewerProducts(node, x!, w!, bias);
    return y && [y];
  },
  ConvTranspose: (node, [x, w, bias]) => {
    const y = transposedByProducts(node, x!, w!, bias) ?? convTransposeByFewerProducts(node, x!, w!, bias);
    return y && [y];
  },
  InstanceNormalization: (node, [x, scale, bias]) => [
    groupNormalizationComposed(x!, scale!, bias!, x!.shape[1]!, floatOf(node.attributes, "epsilon", 1e-5)),
  ],
};

/** The same function in operators that run fast; for training graphs, not for models that people read. */
export function lower(graph: Graph): Graph {
  const values = substitute(
    graph.outputs.map((o) => o.value),
    new Map(),
    (node, inputs) => lowerings[node.op]?.(node, inputs),
  );
  return { ...graph, outputs: graph.outputs.map((o, i) => ({ name: o.name, value: values[i]! })) };
}
