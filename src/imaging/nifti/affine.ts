/** Affines from voxel indices to millimetres, and the order and direction of axes that comes nearest to the patient's. */

type Row = readonly [number, number, number, number];

/** The upper three rows of a 4 x 4 matrix: [x, y, z] in millimetres of voxel [i, j, k, 1]. */
export type Affine = readonly [Row, Row, Row];

type Triple = readonly [number, number, number];

/**
 * The affine of a unit quaternion whose b, c, d are stored (a is what is left of 1), an offset in the file's unit, voxel
 * sizes, and the handedness `qfac` of 1 or -1. Source: nifti1.h, method 2.
 */
export function affineOfQform([b, c, d]: Triple, offset: Triple, sizes: Triple, qfac: 1 | -1): Affine {
  const squares = b * b + c * c + d * d;
  const a = Math.sqrt(Math.max(0, 1 - squares));
  const rotation = [
    [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
    [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
    [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
  ] as const;
  const row = (r: 0 | 1 | 2): Row => [
    rotation[r][0] * sizes[0],
    rotation[r][1] * sizes[1],
    rotation[r][2] * sizes[2] * qfac,
    offset[r],
  ];
  return [row(0), row(1), row(2)];
}

/** Lengths of the three voxel axes, in millimetres. */
export const spacingOf = (affine: Affine): [number, number, number] => [
  Math.hypot(affine[0][0], affine[1][0], affine[2][0]),
  Math.hypot(affine[0][1], affine[1][1], affine[2][1]),
  Math.hypot(affine[0][2], affine[1][2], affine[2][2]),
];

/** Whether every voxel has a place of its own: finite, and far from flat. */
export function isInvertible(affine: Affine): boolean {
  const [[a, b, c], [d, e, f], [g, h, i]] = affine;
  const volume = a * (e * i - f * h) - b * (d * i - f * g) + c * (d * h - e * g);
  const box = spacingOf(affine).reduce((product, side) => product * side);
  return affine.flat().every(Number.isFinite) && box > 0 && Math.abs(volume) > 1e-6 * box;
}

/** For each axis of the patient (right, front, head) the voxel axis along it, and whether its indices run the other way. */
export type Orientation = readonly { readonly axis: 0 | 1 | 2; readonly flip: boolean }[];

/**
 * The voxel axis that points most clearly along an axis of the patient takes it, then the next of what is left. For tilts
 * as scanners have them any sensible rule gives the same; between two axes, near 45 degrees, this one decides as nibabel.
 */
export function orientationOf(affine: Affine): Orientation {
  const spacing = spacingOf(affine);
  const axes = [0, 1, 2] as const;
  const cosine = (patient: number, axis: number) => affine[patient]![axis]! / spacing[axis]!;
  const clearest = (axis: number) => Math.max(...axes.map((patient) => Math.abs(cosine(patient, axis))));
  const along = new Map<number, Orientation[number]>();
  for (const axis of axes.toSorted((a, b) => clearest(b) - clearest(a))) {
    const free = axes.filter((patient) => !along.has(patient));
    const patient = free.reduce((a, b) => (Math.abs(cosine(b, axis)) > Math.abs(cosine(a, axis)) ? b : a));
    along.set(patient, { axis, flip: cosine(patient, axis) < 0 });
  }
  return axes.map((patient) => along.get(patient)!);
}

const ENDS = ["LR", "PA", "IS"] as const;

/** Where the indices of each voxel axis run to, as "RAS" (right, front, head) or "LPS". */
export function axisCode(affine: Affine): string {
  const letters = ["", "", ""];
  orientationOf(affine).forEach(({ axis, flip }, patient) => (letters[axis] = ENDS[patient]![flip ? 0 : 1]!));
  return letters.join("");
}
