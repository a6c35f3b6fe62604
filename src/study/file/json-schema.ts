/** The published description of study files, for editors that complete and check YAML by a JSON Schema. */
import { z } from "zod";
import { studySchema } from "./schema.ts";

/** JSON Schema (2020-12) of what is written in a study file: what has a default may be left out. */
export function studyJsonSchema(): object {
  const schema = z.toJSONSchema(studySchema, {
    io: "input",
    override: ({ zodSchema, jsonSchema }) => {
      // YAML's .inf is a number, for which JSON has no literal; a minimum alone lets it in.
      if (zodSchema._zod.def.type !== "literal" || !isInfinity(zodSchema)) return;
      delete jsonSchema.const;
      Object.assign(jsonSchema, { type: "number", exclusiveMinimum: Number.MAX_VALUE });
    },
  });
  return { ...schema, title: "Leadglass study", description: "Arms to compare on cohorts of medical images." };
}

const isInfinity = (schema: unknown): boolean =>
  (schema as { def: { values?: readonly unknown[] } }).def.values?.includes(Infinity) ?? false;
