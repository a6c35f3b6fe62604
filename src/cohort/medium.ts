/** What a cohort's files hold: images, or volumes; never both, since no model reads both. */
import { LeadglassError } from "../errors.ts";
import type { Cohort } from "./cohort.ts";

export type Medium = "images" | "volumes";

/** What a record's file of this name holds; a folder, whose name ends in a slash, holds the slices of a volume. */
export const mediumOf = (file: string): Medium => (/\.nii(\.gz)?$|\/$/i.test(file) ? "volumes" : "images");

/** Throws LG-COHORT-024 where a cohort holds the other kind of files. */
export function requireMedium({ medium, place }: Cohort, needed: Medium): void {
  if (medium !== needed)
    throw new LeadglassError("LG-COHORT-024", `${place}: a cohort of ${medium}; one of ${needed} is needed here`, {
      hint: `Choose a model that reads ${medium}, or a cohort of ${needed}.`,
      fields: { medium, needed },
    });
}
