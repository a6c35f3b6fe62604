import { LeadglassError } from "../errors.ts";
import { constant, input, substitute, topologicalNodes, type Value } from "../graph/index.ts";
import type { Model } from "../nn/index.ts";

/**
 * The names of a model's parameters that a list of patterns, separated by commas, says not to train; a star stands for
 * any text. Throws LG-USAGE-001, listing the names, where a pattern matches nothing or nothing would be left to train.
 */
export function frozenNames(model: Model, patterns: string): string[] {
  const names = model.parameters.map((p) => p.name);
  const frozen = new Set<string>();
  for (const pattern of patterns.split(",").map((p) => p.trim())) {
    const expression = new RegExp(`^${pattern.replace(/[.*+?^${}()|[\]\\]/g, (c) => (c === "*" ? ".*" : `\\${c}`))}$`);
    const matched = names.filter((name) => expression.test(name));
    if (matched.length === 0)
      throw new LeadglassError("LG-USAGE-001", `--freeze ${pattern}: no parameter of ${model.name} has such a name`, {
        hint: `The parameters are: ${names.join(", ")}.`,
      });
    for (const name of matched) frozen.add(name);
  }
  if (frozen.size === names.length)
    throw new LeadglassError("LG-USAGE-001", "--freeze: no parameter would be left to train", {
      hint: `The parameters are: ${names.join(", ")}.`,
    });
  return [...frozen];
}

/** The model with some parameters as constants: neither trained nor, under privacy, part of what is clipped. */
export function freezeParameters(model: Model, values: Readonly<Record<string, Float32Array>>): Model {
  const frozen = model.parameters.filter((p) => values[p.name] !== undefined);
  const replacements = new Map<Value, Value>(
    frozen.map(({ name, value }) => [value, constant(values[name]!, value.shape, "float32", name)]),
  );
  return {
    ...model,
    logits: substitute([model.logits], replacements)[0]!,
    parameters: model.parameters.filter((p) => !frozen.includes(p)),
  };
}

/**
 * The one value through which everything that is trained sees the images, where there is one: what lies before it is fixed
 * once the other parameters are. Null where trained parameters sit in several places, or at the very start.
 */
function seam(model: Model): Value | null {
  const trained = new Set<Value>(model.parameters.map((p) => p.value));
  const seeing = new Set<Value>([model.features]);
  const found = new Set<Value>();
  for (const node of topologicalNodes([model.logits])) {
    const isTrained = node.inputs.some((v) => v !== undefined && trained.has(v));
    if (isTrained) for (const v of node.inputs) if (v && seeing.has(v) && !trained.has(v)) found.add(v);
    for (const y of node.outputs) {
      if (isTrained) trained.add(y);
      if (node.inputs.some((v) => v !== undefined && seeing.has(v))) seeing.add(y);
    }
  }
  const [only] = found;
  return found.size === 1 && only !== model.features ? only! : null;
}

/**
 * The model with some parameters as constants, and whatever they alone decide moved into the fixed part: the features of a
 * frozen backbone are then computed once for each image and not in every step. The same function of pixels as
 * {@link freezeParameters}.
 */
export function withFrozenBackbone(model: Model, values: Readonly<Record<string, Float32Array>>): Model {
  const frozen = freezeParameters(model, values);
  const at = seam(frozen);
  if (at === null) return frozen;
  const features = input("features", at.shape);
  const [logits] = substitute([frozen.logits], new Map<Value, Value>([[at, features]]));
  const [fixed] = substitute([at], new Map<Value, Value>([[frozen.features, frozen.fixed]]));
  return { ...frozen, fixed: fixed!, features, logits: logits! };
}

/** Whether a choice of what to freeze leaves only what comes after a backbone. */
export function freezesBackbone(model: Model, patterns: string | undefined): boolean {
  if (patterns === undefined) return false;
  const names = new Set(frozenNames(model, patterns));
  return seam({ ...model, parameters: model.parameters.filter((p) => !names.has(p.name)) }) !== null;
}
