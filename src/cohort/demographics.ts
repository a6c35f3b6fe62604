/** Age and sex, as the columns of cohorts and DICOM write them. */

/** The column that holds ages, if one is called so. */
export const ageColumn = (columns: readonly string[]) =>
  columns.find((name) => /^(patient[ _]?)?age([ _]?years)?$/i.test(name));

/** The column that holds sexes, if one is called so. */
export const sexColumn = (columns: readonly string[]) =>
  columns.find((name) => /^(patient[ _]?)?(sex|gender)$/i.test(name));

const YEARS_IN = { y: 1, m: 1 / 12, w: 7 / 365.25, d: 1 / 365.25 } as const;

/** Years from a plain number or a DICOM age string ("060Y", "011M", PS3.5 6.2 AS); undefined where unreadable or over 120. */
export function ageYearsOf(cell: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)([YMWD]?)$/i.exec(cell);
  if (match === null) return undefined;
  const unit = (match[2] === "" ? "y" : match[2]!.toLowerCase()) as keyof typeof YEARS_IN;
  const years = Number(match[1]) * YEARS_IN[unit];
  return years <= 120 ? years : undefined;
}

/** The band of an age cell: 0-17, 18-44, 45-64, 65-74, 75+ or unknown. */
export function ageBand(cell: string): string {
  const years = ageYearsOf(cell);
  if (years === undefined) return "unknown";
  return years < 18 ? "0-17" : years < 45 ? "18-44" : years < 65 ? "45-64" : years < 75 ? "65-74" : "75+";
}

/** F, M, O (other) or unknown. */
export function sexOf(cell: string): "F" | "M" | "O" | "unknown" {
  if (/^(f|female)$/i.test(cell)) return "F";
  if (/^(m|male)$/i.test(cell)) return "M";
  return /^(o|other)$/i.test(cell) ? "O" : "unknown";
}
