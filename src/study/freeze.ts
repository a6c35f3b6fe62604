import { LeadglassError } from "../errors.ts";
import { constant, substitute, type Value } from "../graph/index.ts";
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
