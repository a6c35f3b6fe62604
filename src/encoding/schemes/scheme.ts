/** What an encoder is, as data: every scheme is one set of these numbers, and a release states them all. */
import { z } from "zod";
import { LeadglassError } from "../../errors.ts";

const size = z.int().positive().max(65536);

export const schemeSchema = z.strictObject({
  name: z.string().regex(/^[a-z][a-z0-9-]{0,39}$/),
  /** Side of a square patch in pixels. */
  patch: size,
  /** Units of the hidden layers. */
  width: size,
  /** Hidden layers after the first; each is a mixing of a patch's units with normalisation and ReLU. */
  depth: z.int().nonnegative().max(256),
  /** Numbers of a released patch. */
  outputs: size,
  /** True for the positive control: one linear map of each patch and nothing else. */
  linear: z.boolean(),
  /** Where the statistics of the hidden layers come from: fixed ones of the key, or those of the images encoded together. */
  normalisation: z.enum(["key", "batch"]),
  /** Pixels in [0, 1] are read as (pixel - mean) / deviation; public constants. */
  pixels: z.strictObject({ mean: z.number(), deviation: z.number().positive() }),
  /** How a patch's place enters: added after the hidden layers, as keyed signs inside them, or not at all. */
  position: z.discriminatedUnion("kind", [
    z.strictObject({ kind: z.literal("added"), scale: z.number().positive() }),
    z.strictObject({ kind: z.literal("keyed") }),
    z.strictObject({ kind: z.literal("none") }),
  ]),
  /** True where every released vector mixes all patches of its image. */
  mixing: z.boolean(),
  /** Share of an image's patches that is released, chosen afresh for each image. */
  kept: z.number().positive().max(1),
  /** Gaussian noise on every released number, after scaling an image's encoding down to the Euclidean norm `clip`. */
  noise: z.strictObject({ deviation: z.number().positive(), clip: z.number().positive() }).nullable(),
});

export type Scheme = Readonly<z.infer<typeof schemeSchema>>;

const neuracrypt: Scheme = {
  name: "neuracrypt",
  patch: 16,
  width: 2048,
  depth: 4,
  outputs: 2048,
  linear: false,
  normalisation: "key",
  pixels: { mean: 0.5, deviation: 0.25 },
  position: { kind: "added", scale: 1 },
  mixing: false,
  kept: 1,
  noise: null,
};

/** The schemes that `--scheme` names. */
export const schemes = {
  neuracrypt,
  /** The published code with its constants and its batch statistics: an encoding depends on its batch mates. */
  "neuracrypt-reference": {
    ...neuracrypt,
    name: "neuracrypt-reference",
    normalisation: "batch",
    pixels: { mean: 43.9 / 255, deviation: 63.2 / 255 },
  },
  linear: { ...neuracrypt, name: "linear", depth: 0, linear: true, position: { kind: "none" } },
  "position-scaled": { ...neuracrypt, name: "position-scaled", position: { kind: "added", scale: 0.1 } },
  "position-removed": { ...neuracrypt, name: "position-removed", position: { kind: "none" } },
  "position-keyed": { ...neuracrypt, name: "position-keyed", position: { kind: "keyed" } },
  mixed: { ...neuracrypt, name: "mixed", mixing: true },
  narrow: { ...neuracrypt, name: "narrow", outputs: 64 },
  dropped: { ...neuracrypt, name: "dropped", kept: 0.5 },
  noisy: { ...neuracrypt, name: "noisy", noise: { deviation: 0.5, clip: 400 } },
} as const satisfies Readonly<Record<string, Scheme>>;

export type SchemeName = keyof typeof schemes;
export const schemeNames = Object.keys(schemes) as SchemeName[];

/** A scheme by name, or as it is. Throws LG-USAGE-001, listing the names. */
export function schemeNamed(scheme: string | Scheme): Scheme {
  if (typeof scheme !== "string") return scheme;
  const found = Object.hasOwn(schemes, scheme) ? schemes[scheme as SchemeName] : undefined;
  if (found) return found;
  throw new LeadglassError("LG-USAGE-001", `--scheme ${scheme}: there is no such scheme`, {
    hint: `Choose one of ${schemeNames.join(", ")}.`,
  });
}

/** What images an encoder reads. */
export interface ImageShape {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

/** Patches of an image; sides that are no multiple of the patch are filled up by repeating the border. */
export const patchGrid = ({ patch }: Pick<Scheme, "patch">, { height, width }: ImageShape) => {
  const [down, across] = [Math.ceil(height / patch), Math.ceil(width / patch)];
  return { down, across, patches: down * across };
};

/** Patches of an image that are released. */
export const releasedPatches = (scheme: Scheme, shape: ImageShape): number =>
  Math.max(1, Math.round(scheme.kept * patchGrid(scheme, shape).patches));

/** Secret numbers of an encoder: those that a training could learn, without the statistics. */
export function secretParameters(scheme: Scheme, shape: ImageShape): number {
  const { width, depth, outputs, patch, linear, position, mixing } = scheme;
  const { patches } = patchGrid(scheme, shape);
  const inputs = shape.channels * patch ** 2;
  if (linear) return outputs * (inputs + 1);
  const placed = position.kind === "added" ? patches * width : position.kind === "keyed" ? 2 * patches * width : 0;
  // A hidden layer: weight, bias, and the scale and shift of its normalisation (1 and 0).
  return (
    width * (inputs + 1) +
    depth * width * (width + 3) +
    placed +
    (mixing ? patches * patches : 0) +
    outputs * (width + 1)
  );
}
