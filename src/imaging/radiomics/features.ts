/** All radiomic features of a region, by name. */
import { cooccurrenceFeatures, cooccurrenceMatrix, mergeCooccurrences } from "./cooccurrence.ts";
import { histogramFeatures, intensityFeatures } from "./intensity.ts";
import { directionsOf, discretise, slicesOf, valuesInside, type Discretisation, type GreyLevels, type Region } from "./region.ts"; // prettier-ignore
import { dependenceMatrix, mergeSizes, runMatrix, sizeFeatures, zoneMatrix } from "./sizes.ts";
import { mergeTones, toneFeatures, toneMatrix } from "./tone-differences.ts";

/**
 * How matrices of slices and directions become one number, in the manual's words (section 3.6). For a single image
 * "2D, averaged" and "2.5D, direction-merged" are the same, and so are "2D, slice-merged" and "2.5D, merged".
 */
export type Aggregation =
  "2D, averaged" | "2D, slice-merged" | "2.5D, direction-merged" | "2.5D, merged" | "3D, averaged" | "3D, merged";

export interface RadiomicOptions {
  readonly discretisation: Discretisation;
  /** "2D, slice-merged" unless given. Matrices without a direction are taken per slice, merged over slices, or in space. */
  readonly aggregation?: Aggregation;
}

/** Mean of each feature over several matrices, leaving out those where it is not defined. */
function averaged(rows: readonly Record<string, number>[]): Record<string, number> {
  if (rows.length === 1) return rows[0]!;
  return Object.fromEntries(
    Object.keys(rows[0]!).map((name) => {
      const known = rows.map((row) => row[name]!).filter((x) => !Number.isNaN(x));
      return [name, known.reduce((a, b) => a + b, 0) / known.length];
    }),
  );
}

const prefixed = (prefix: string, features: Record<string, number>): [string, number][] =>
  Object.entries(features).map(([name, value]) => [`${prefix}.${name}`, value]);

/**
 * Radiomic features to the definitions of the image biomarker standardisation initiative: 18 of intensity, entropy and
 * uniformity of the histogram, 25 of the GLCM, 16 each of the GLRLM and GLSZM, 17 of the NGLDM (pyradiomics: GLDM) and
 * 5 of the NGTDM; neighbours at Chebyshev distance 1, no distance weighting, dependence coarseness 0.
 * Names are `family.feature`, such as `glcm.contrast`. What is not defined is NaN.
 * Throws LG-IMAGE-005 for an empty region or one that cannot be discretised as asked.
 * Source: Zwanenburg et al., Image biomarker standardisation initiative, reference manual, arXiv 1612.07003.
 */
export function radiomicFeatures(
  region: Region,
  { discretisation, aggregation = "2D, slice-merged" }: RadiomicOptions,
): Record<string, number> {
  const grey = discretise(region, discretisation);
  return Object.fromEntries([
    ...prefixed("intensity", intensityFeatures(valuesInside(region))),
    ...prefixed("histogram", histogramFeatures(grey.levels)),
    ...textureEntries(grey, aggregation),
  ]);
}

/** The features of texture matrices of grey levels, as {@link radiomicFeatures} names them. */
export const textureFeatures = (grey: GreyLevels, aggregation: Aggregation): Record<string, number> =>
  Object.fromEntries(textureEntries(grey, aggregation));

function textureEntries(grey: GreyLevels, aggregation: Aggregation): [string, number][] {
  const dimensions = aggregation.startsWith("3D") ? 3 : 2;
  const parts = dimensions === 3 ? [grey] : slicesOf(grey).filter(({ levels }) => levels.some((level) => level > 0));
  const steps = directionsOf(dimensions);
  /** One matrix for each part and direction, grouped as the aggregation says, each group merged. */
  const directional = <T>(make: (part: GreyLevels, step: (typeof steps)[number]) => T, merge: (all: T[]) => T): T[] => {
    const all = parts.map((part) => steps.map((step) => make(part, step)));
    switch (aggregation) {
      case "2D, averaged":
      case "3D, averaged":
        return all.flat();
      case "2D, slice-merged":
        return all.map(merge);
      case "2.5D, direction-merged":
        return steps.map((_, k) => merge(all.map((row) => row[k]!)));
      default:
        return [merge(all.flat())];
    }
  };
  const whole = <T>(make: (part: GreyLevels) => T, merge: (all: T[]) => T): T[] =>
    aggregation.startsWith("2.5D") ? [merge(parts.map(make))] : parts.map(make);
  const sizes = {
    glrlm: directional(runMatrix, mergeSizes),
    glszm: whole((part) => zoneMatrix(part, dimensions), mergeSizes),
    ngldm: whole((part) => dependenceMatrix(part, dimensions), mergeSizes),
  };
  const sized = (Object.keys(sizes) as (keyof typeof sizes)[]).flatMap((family) =>
    prefixed(family, averaged(sizes[family].map(sizeFeatures))).filter(
      ([name]) => family === "ngldm" || !name.endsWith(".energy"),
    ),
  );
  return [
    ...prefixed("glcm", averaged(directional(cooccurrenceMatrix, mergeCooccurrences).map(cooccurrenceFeatures))),
    ...sized,
    ...prefixed("ngtdm", averaged(whole((part) => toneMatrix(part, dimensions), mergeTones).map(toneFeatures))),
  ];
}
