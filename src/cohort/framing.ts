/** What an image of a cohort is a picture of, as far as its schema tells: names of columns and cohort.yaml, never a cell. */

/** "finding": a crop with one finding in its middle, such as a mass. "field": a whole view, such as a chest. */
export type Framing = "finding" | "field";

export interface KnownFraming {
  readonly framing: Framing;
  /** What says so. */
  readonly from: string;
}

/** Columns that tables of crops have, one row a finding; tables of whole views say which findings a patient has. */
const ofOneFinding = /^(mass|lesion|nodule|tumou?r|roi)[ _-]?(id|number|index|shape|margins?|texture|diameter|size)([ _-]?mm)?$/i; // prettier-ignore

/**
 * How a cohort's images are framed: as cohort.yaml says, or as columns that describe one finding a row suggest; null where
 * nothing tells. Column names are the same whoever the patients are, so that what follows from them costs no privacy.
 */
export function framingOf(said: Framing | undefined, columns: readonly string[]): KnownFraming | null {
  if (said !== undefined) return { framing: said, from: `framing: ${said} in cohort.yaml` };
  const telling = columns.filter((name) => ofOneFinding.test(name));
  if (telling.length === 0) return null;
  return { framing: "finding", from: `the table's column${telling.length > 1 ? "s" : ""} ${telling.slice(0, 3).join(", ")}` }; // prettier-ignore
}
