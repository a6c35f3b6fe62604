/**
 * Writes src/nn/ring-components.ts: mean, deviation and 64 principal components of the ring features of drawn masses
 * (phantoms: 250 patients who never lived, seed 7). They are public, so a model that uses them costs no privacy for it.
 * Run: node bench/ring-components.ts
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makePhantomCohort, openCohort, openImages } from "../src/cohort/index.ts";
import { graphOf } from "../src/graph/index.ts";
import { lower } from "../src/graph/lower.ts";
import { symmetricEigen } from "../src/math/symmetric-eigen.ts";
import { ringFeatures } from "../src/nn/rings.ts";
import { input } from "../src/graph/index.ts";
import { startEngine } from "../src/runtime/index.ts";

const components = 64;
const rows = 16;
const size = 128;

const dir = await mkdtemp(join(tmpdir(), "rings-"));
await makePhantomCohort({ kind: "mass", patients: 250, seed: 7, out: join(dir, "masses") });
const cohort = await openCohort(join(dir, "masses"));
const store = openImages(cohort, { size, channels: 1, normalise: "none" });
const image = input("image", [rows, 1, size, size]);
const features = ringFeatures(image);
const count = cohort.records.length;
const n = features.shape[1]!;
const all: Float64Array[] = [];
await using engine = await startEngine();
await using program = await engine.load(lower(graphOf("rings", { features }, [image])));
for (let i = 0; i < count; i += rows) {
  const data = new Float32Array(rows * size * size);
  const taken = Math.min(rows, count - i);
  for (let j = 0; j < taken; j++) data.set(await store.read(i + j), j * size * size);
  const ran = await program.run({ image: { data, shape: image.shape } });
  for (let j = 0; j < taken; j++) all.push(Float64Array.from((ran["features"]!.data as Float32Array).subarray(j * n, (j + 1) * n))); // prettier-ignore
}
const mean = Float64Array.from({ length: n }, (_, k) => all.reduce((s, f) => s + f[k]! / count, 0));
const deviation = mean.map((m, k) => Math.sqrt(all.reduce((s, f) => s + (f[k]! - m) ** 2 / count, 0)) + 1e-3);
const standard = all.map((f) => f.map((v, k) => Math.min(4, Math.max(-4, (v - mean[k]!) / deviation[k]!))));
const centre = Float64Array.from({ length: n }, (_, k) => standard.reduce((s, f) => s + f[k]! / count, 0));
const covariance = new Float64Array(n * n);
for (const f of standard)
  for (let a = 0; a < n; a++) for (let b = 0; b < n; b++) covariance[a * n + b]! += ((f[a]! - centre[a]!) * (f[b]! - centre[b]!)) / count; // prettier-ignore
const { values, vectors } = symmetricEigen(covariance, n);
const order = [...values.keys()].sort((a, b) => values[b]! - values[a]!).slice(0, components);

// Half whitened, which is between trusting the drawing's variances and ignoring them; 2 / sqrt(components) brings a
// feature vector's norm to about the clipping norm.
const scales = Float32Array.from(order, (k) => 2 / Math.sqrt(components) / values[k]! ** 0.25);
const largest = order.map((k) => Math.max(...Array.from({ length: n }, (_, i) => Math.abs(vectors![k * n + i]!))));
const matrix = Int8Array.from({ length: n * components }, (_, at) => {
  const [i, c] = [Math.floor(at / components), at % components];
  // A component's sign is chosen so that its largest entry is positive: it carries nothing.
  const v = (a: number): number => vectors![order[c]! * n + a]!;
  const top = Array.from({ length: n }, (_, a) => a).reduce((best, a) =>
    Math.abs(v(a)) > Math.abs(v(best)) ? a : best,
  );
  return Math.round(((Math.sign(v(top)) * v(i)) / largest[c]!) * 127);
});
const base64 = (array: ArrayBufferView): string =>
  Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString("base64");
await writeFile(
  new URL("../src/nn/ring-components.ts", import.meta.url),
  `/**
 * Principal components of the ring features of drawn masses, written by bench/ring-components.ts: no patient is in them.
 * Base64 of little-endian numbers.
 */
export const ringComponents = {
  features: ${n},
  components: ${components},
  /** float32, [features] each. */
  mean: "${base64(Float32Array.from(mean))}",
  deviation: "${base64(Float32Array.from(deviation))}",
  /** float32, [components]: what a column of the matrix is multiplied by. */
  scale: "${base64(scales.map((s, c) => (s * largest[c]!) / 127))}",
  /** int8, [features, components]. */
  matrix:
    "${base64(matrix)}",
} as const;
`,
);
await rm(dir, { recursive: true });
