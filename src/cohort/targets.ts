/** From a column of texts to labels of 0 and 1, with what is missing masked. */
import { LeadglassError } from "../errors.ts";
import type { Manifest, TargetRule } from "./manifest.ts";
import { columnOf } from "./table.ts";
import type { Table } from "./table.ts";

/** A target as it is asked for: a name, and where it is not a column of 0 and 1, the value that counts as 1. */
export interface TargetSpec extends TargetRule {
  readonly name: string;
}

/** One label for each image. */
export interface Target {
  readonly name: string;
  readonly column: string;
  /** 0 or 1; where the label is missing 0, with 0 in `present`. */
  readonly labels: Float32Array;
  /** 1 where there is a label. */
  readonly present: Uint8Array;
  readonly positives: number;
  readonly negatives: number;
  readonly missing: number;
}

/** "malignant" is the column or target of that name; "sex=F" is 1 where column sex holds F and 0 where it holds another value. */
export function parseTarget(text: string): TargetSpec {
  const at = text.indexOf("=");
  const [column, positive] = at < 0 ? [text.trim(), undefined] : [text.slice(0, at).trim(), text.slice(at + 1).trim()];
  if (column === "" || positive === "")
    throw new LeadglassError("LG-USAGE-001", `target: text of length ${text.length}; COLUMN or COLUMN=VALUE expected`, {
      hint: "For example --target malignant, or --target sex=F.",
    });
  return positive === undefined ? { name: column } : { name: `${column}=${positive}`, column, positive };
}

const sameValue = (cell: string, value: string | number | boolean) =>
  cell === String(value) || (String(value).trim() !== "" && Number(cell) === Number(value));

/** The label of a cell: 0, 1, null where missing, undefined where the rule does not say. */
export function readLabel(cell: string, rule: TargetRule): 0 | 1 | null | undefined {
  const listed = rule.values !== undefined && Object.hasOwn(rule.values, cell) ? rule.values[cell] : undefined;
  if (listed !== undefined) return listed === "missing" ? null : listed;
  if (cell === "") return null;
  if (rule.uncertain !== undefined && Number(cell) === -1)
    return ({ missing: null, positive: 1, negative: 0 } as const)[rule.uncertain];
  if (rule.positive !== undefined) return [rule.positive].flat().some((value) => sameValue(cell, value)) ? 1 : 0;
  return /^[01](\.0*)?$/.test(cell) ? (cell.startsWith("1") ? 1 : 0) : undefined;
}

/** Columns that are targets as they stand: 0, 1 and blank, both of the first two present. */
export function binaryColumns(table: Table): string[] {
  return table.columns.filter((name) => {
    const labels = new Set(table.cells.get(name)!.map((cell) => readLabel(cell, {})));
    return labels.has(0) && labels.has(1) && !labels.has(undefined);
  });
}

/**
 * Labels for every row of the table. A name that the manifest lists is read as it says; any other is a column.
 * Throws LG-COHORT-004 (no such column), LG-COHORT-012 (a label that is not 0, 1 or blank), LG-COHORT-013 (one class).
 */
export function readTarget(table: Table, manifest: Manifest, asked: string | TargetSpec): Target {
  const listed = typeof asked === "string" && Object.hasOwn(manifest.targets, asked);
  const spec: TargetSpec =
    typeof asked !== "string"
      ? { ...(asked.column === undefined ? manifest.targets[asked.name] : undefined), ...asked }
      : listed
        ? { name: asked, ...manifest.targets[asked] }
        : table.cells.has(asked)
          ? { name: asked }
          : parseTarget(asked);
  const column = spec.column ?? spec.name;
  const cells = columnOf(table, column, spec.column === undefined ? "" : ` of target "${spec.name}"`);

  const healthy = spec.healthy === undefined ? undefined : columnOf(table, spec.healthy, ` of target "${spec.name}"`);

  const labels = new Float32Array(cells.length);
  const present = new Uint8Array(cells.length);
  let positives = 0;
  let missing = 0;
  cells.forEach((cell, i) => {
    const own = readLabel(cell, spec);
    const label = own === null && healthy !== undefined && readLabel(healthy[i]!, {}) === 1 ? 0 : own;
    if (label === undefined)
      throw new LeadglassError(
        "LG-COHORT-012",
        `${table.place}, data row ${i + 1}: column "${column}" holds a value that is not 0, 1 or blank (text of length ${cell.length})`,
        {
          hint: `Name the value that counts as 1 (--target ${column}=VALUE), say how to read it in cohort.yaml under targets.${spec.name}.values, or correct the row.`,
          fields: { row: i + 1, column },
        },
      );
    if (label === null) missing++;
    else present[i] = 1;
    if (label === 1) positives += labels[i] = 1;
  });
  const negatives = cells.length - missing - positives;
  if (positives === 0 || negatives === 0)
    throw new LeadglassError(
      "LG-COHORT-013",
      `${table.place}: target "${spec.name}" has ${positives} positive, ${negatives} negative and ${missing} missing labels; both classes were expected`,
      {
        hint:
          spec.positive === undefined
            ? "Choose another target, or add images of the other class."
            : `Spell the value as column "${column}" does, with the same capitals.`,
        fields: { column, positives, negatives, missing },
      },
    );
  return { name: spec.name, column, labels, present, positives, negatives, missing };
}
