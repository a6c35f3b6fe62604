import { createHash } from "node:crypto";
import { cp, mkdtemp, readdir, readFile, rm, stat, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makePhantomCohort, openCohort, type Cohort } from "../../cohort/index.ts";
import { isLeadglassError } from "../../errors.ts";
import { decodeSafetensors } from "../../runtime/safetensors.ts";
import { encodeCohort } from "../encode.ts";
import { writeKey } from "../key-file.ts";
import { makeKey, weakKey } from "../keys.ts";
import { schemes, type Scheme } from "../schemes/index.ts";
import { findLeaks, lintRelease, openRelease, startRelease } from "./index.ts";

const scheme: Scheme = { ...schemes.neuracrypt, patch: 8, width: 32, outputs: 24, depth: 2 };
const key = makeKey();
const nonce = new Uint8Array(32).fill(9);

const codeOf = async (doing: Promise<unknown>): Promise<string> => {
  try {
    await doing;
    return "nothing was thrown";
  } catch (error) {
    return isLeadglassError(error) ? `${error.code} exit ${error.exitCode}` : String(error);
  }
};

interface Draft {
  splits: string[];
  targets: Record<string, (0 | 1)[]>;
  groups: Record<string, string[]>;
}

describe("releases", () => {
  let dir: string;
  let cohort: Cohort;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "leadglass-release-"));
    await makePhantomCohort({ kind: "chest", patients: 40, seed: 3, imageSize: 32, out: join(dir, "cohort") });
    cohort = await openCohort(join(dir, "cohort"));
    await encodeCohort({ ...how(), out: join(dir, "good") });
  }, 60_000);
  afterAll(() => rm(dir, { recursive: true }));
  const how = () => ({ cohort, key, scheme, targets: [cohort.target("pneumonia")], size: 32, groups: ["sex"] });
  const copy = async (name: string): Promise<string> => {
    const to = join(dir, name);
    await cp(join(dir, "good"), to, { recursive: true, preserveTimestamps: true });
    return to;
  };
  /** Sets members of the manifest, by their paths. */
  const rewrite = async (place: string, lies: Readonly<Record<string, unknown>>): Promise<void> => {
    const path = join(place, "manifest.json");
    const manifest = JSON.parse(await readFile(path, "utf8")) as Record<string, unknown>;
    for (const [member, value] of Object.entries(lies)) {
      const names = member.split(".");
      const last = names.pop()!;
      const owner = names.reduce((o, name) => o[name] as Record<string, unknown>, manifest);
      owner[last] = typeof value === "function" ? (value as (x: unknown) => unknown)(owner[last]) : value;
    }
    await writeFile(path, JSON.stringify(manifest));
    await utimes(path, 0, 0);
  };

  it("whatIsRead_isWhatWasEncoded_withinTheStatedRounding", async () => {
    const [half, full] = [join(dir, "half"), join(dir, "full")];
    const { order } = await encodeCohort({ ...how(), out: half, nonce });
    await encodeCohort({ ...how(), out: full, nonce, dtype: "float32" });
    await using a = await openRelease(half);
    await using b = await openRelease(full);
    const all = [...order.keys()];
    expect(a.shape).toEqual([16, 24]);
    const [x, y] = [await a.load(all), await b.load(all)];
    const { relativeMost, relativeRms } = a.manifest.encodings.rounding;
    // float16 has a significand of 11 bits: half a unit of the last is 2^-12 of the number's power of two, at most 2^-11 of it.
    expect(relativeMost).toBe(2 ** -11);
    y.forEach((v, i) => expect(Math.abs(v - x[i]!)).toBeLessThanOrEqual(relativeMost * Math.abs(v) + 2 ** -24));
    expect(relativeRms).toBeLessThan(2 ** -11);
    expect(a.labels.targets["pneumonia"]).toEqual(order.map((i) => cohort.target("pneumonia").labels[i]));
    expect(a.labels.splits).toEqual(order.map((i) => cohort.records[i]!.split));
    expect([...(await a.load([3, 1]))]).toEqual([...x.subarray(3 * 384, 4 * 384), ...x.subarray(384, 2 * 384)]);
  });

  it("sameKeyAndNonce_giveTheSameBytes_whateverTheBatch", async () => {
    const hashes: string[] = [];
    for (const [k, batch] of [1, 7, 32, 32].entries()) {
      const { manifest } = await encodeCohort({ ...how(), out: join(dir, `same-${k}`), nonce, batch });
      hashes.push(manifest.shards.map((s) => s.sha256).join());
    }
    expect(new Set(hashes).size).toBe(1);
    const other = await encodeCohort({ ...how(), out: join(dir, "other"), nonce: new Uint8Array(32).fill(8) });
    expect(hashes).not.toContain(other.manifest.shards.map((s) => s.sha256).join());
  });

  it("interruptedEncoding_goesOn_andEndsWithTheSameBytes", async () => {
    const whole = await encodeCohort({ ...how(), out: join(dir, "whole"), nonce });
    const stop = new AbortController();
    const out = join(dir, "resumed");
    const options = { ...how(), out, nonce, batch: 8, signal: stop.signal };
    const refused = codeOf(encodeCohort({ ...options, onProgress: (done) => (done >= 16 ? stop.abort() : undefined) }));
    expect(await refused).toBe("LG-RUNTIME-004 exit 5");
    expect(await codeOf(stat(out))).toContain("ENOENT");
    // Another key is another release: it cannot go on with this one.
    expect(await codeOf(encodeCohort({ ...how(), key: makeKey(), out, resume: true }))).toBe("LG-ENCODE-006 exit 2");
    const { manifest } = await encodeCohort({ ...how(), out, resume: true });
    expect(manifest.shards).toEqual(whole.manifest.shards);
  });

  it("writer_resumesAfterWholeShards", async () => {
    const start = {
      ...{
        key: key.id,
        scheme: { ...scheme, outputs: 4096, patch: 8 },
        image: { channels: 1, height: 256, width: 256 },
      },
      ...{ bound: null, shape: [1024, 4096] as const, dtype: "float16" as const },
    };
    const out = join(dir, "sharded");
    const images = (n: number): Float32Array => new Float32Array(n * 1024 * 4096).fill(0.5);
    const first = await startRelease(out, start, { settings: "x", nonce });
    expect(first.shardImages).toBe(4);
    await first.add(images(4));
    const again = await startRelease(out, start, { settings: "x", nonce: new Uint8Array(32), resume: true });
    expect(again.written).toBe(4);
    expect(again.release).toBe(first.release);
    expect(again.nonce).toEqual(nonce);
    await again.add(images(1));
    const labels = { splits: Array<string>(5).fill("train"), targets: { a: Array<1>(5).fill(1) }, groups: {} };
    const manifest = await again.finish(labels);
    expect(manifest.shards.map((s) => s.images)).toEqual([4, 1]);
  });

  it("release_holdsManifestLabelsAndShardsAlone_undated", async () => {
    expect((await readdir(join(dir, "good"))).sort()).toEqual(["encodings-00000.safetensors", "labels.parquet", "manifest.json"]); // prettier-ignore
    for (const name of await readdir(join(dir, "good"))) expect((await stat(join(dir, "good", name))).mtimeMs).toBe(0);
    const { tensors, metadata } = decodeSafetensors(await readFile(join(dir, "good", "encodings-00000.safetensors")));
    expect(Object.keys(tensors)).toEqual(["encodings"]);
    expect(metadata).toEqual({});
    const secret = Buffer.from(key.secret).toString("hex");
    for (const name of await readdir(join(dir, "good")))
      expect((await readFile(join(dir, "good", name), "latin1")).includes(secret)).toBe(false);
    expect(await findLeaks(join(dir, "good"))).toEqual([]);
  });

  it("weakKeys_areRefusedBeforeAnythingIsWritten", async () => {
    expect(await codeOf(encodeCohort({ ...how(), key: weakKey(77), out: join(dir, "weak") }))).toBe(
      "LG-ENCODE-002 exit 4",
    );
    expect(await codeOf(stat(join(dir, "weak")))).toContain("ENOENT");
  });

  describe("planted leaks", () => {
    const n = 200;
    /** A release with these labels; what is wrong with it is found before it gets its name. */
    const published = async (name: string, change: (labels: Draft) => void): Promise<string> => {
      // prettier-ignore
      const labels = {
        // Quadratic residues: no long runs, and always the same.
        splits: Array.from({ length: n }, (_, i) => ["train", "val", "test"][((i * i) % 211) % 3]!),
        targets: { pneumonia: Array.from({ length: n }, (_, i) => (((i * i * 7) % 211) % 2) as 0 | 1) } as Record<string, (0 | 1)[]>,
        groups: { sex: Array.from({ length: n }, (_, i) => ["F", "M"][((i * i * 5) % 197) % 2]!) } as Record<string, string[]>,
      };
      change(labels);
      const start = { key: key.id, scheme, image: { channels: 1, height: 32, width: 32 }, bound: null, shape: [16, 24] as const, dtype: "float16" as const }; // prettier-ignore
      const writer = await startRelease(join(dir, name), start, { settings: name, nonce });
      await writer.add(new Float32Array(n * 16 * 24));
      return codeOf(writer.finish(labels).then((m) => m.images));
    };
    const group = (name: string, of: (i: number) => string) => (labels: Draft) => {
      labels.groups[name] = Array.from({ length: n }, (_, i) => of(i));
    };
    const half = (a: string, b: string) => (i: number) => (((i * i * 3) % 199) % 2 === 0 ? a : b);

    it("labelsWithoutALeak_arePublished", async () => {
      expect(await published("clean", () => undefined)).toBe("nothing was thrown");
    });

    it.each([
      ["path", group("source", half("scans/a.png", "scans/b.png"))],
      ["patient-identifier", group("patient_id", half("a", "b"))],
      ["patient-identifier by value", group("code", half("MRN-004711", "MRN-004712"))],
      ["patient-identifier by many values", group("code", (i) => `v${i % 100}`)],
      ["date", group("taken", half("2019-04-02", "2019-04-03"))],
      ["device-tag", group("machine", half("Siemens", "Philips"))],
      ["free-text", group("remark", half("seen by the night shift again", "no"))],
      ["secret", group("note", half(Buffer.from(key.secret).toString("hex"), "none"))],
      ["small-group", group("region", (i) => (i < 3 ? "island" : "mainland"))],
      ["order", (labels: Draft) => labels.splits.sort()],
    ])("leak_isRefusedWithExit4: %s", async (name, change) => {
      expect(await published(`leak ${name}`, change)).toBe("LG-ENCODE-004 exit 4");
    });

    it.each([
      ["key", (place: string) => writeFile(join(place, "notes.txt"), '{"format":"leadglass encoding key 1"}')],
      ["file-not-in-manifest", (place: string) => writeFile(join(place, "path_dict.json"), "{}")],
      ["file-date", (place: string) => utimes(join(place, "labels.parquet"), 1.6e9, 1.6e9)],
    ])("leakInAFolder_isFound: %s", async (rule, plant) => {
      const place = await copy(`folder ${rule}`);
      await plant(place);
      expect((await findLeaks(place)).map((leak) => leak.rule)).toContain(rule);
      expect(await codeOf(lintRelease(place))).toBe("LG-ENCODE-004 exit 4");
    });
  });

  const more = (n: unknown): number => (n as number) + 1;

  describe("what is not a release", () => {
    const reads = async (place: string): Promise<unknown> => {
      await using release = await openRelease(place);
      return await release.load([0]);
    };

    it("truncatedShard", async () => {
      const place = await copy("truncated");
      await truncate(join(place, "encodings-00000.safetensors"), 1000);
      expect(await codeOf(reads(place))).toBe("LG-ENCODE-003 exit 3");
    });

    it("oneChangedByte", async () => {
      const place = await copy("changed");
      const path = join(place, "encodings-00000.safetensors");
      const bytes = await readFile(path);
      bytes[bytes.length - 1]! ^= 1;
      await writeFile(path, bytes);
      expect(await codeOf(reads(place))).toBe("LG-ENCODE-003 exit 3");
    });

    it.each([
      ["shape", { "encodings.shape": [8, 48] }],
      ["shape and scheme", { "encodings.shape": [16, 12], "scheme.outputs": 12 }],
      ["dtype", { "encodings.dtype": "float32" }],
      ["count", { "shards.0.images": more }],
      ["both counts", { "shards.0.images": more, images: more, "splits.train": more }],
      ["a bound that nothing proves", { bound: { mu: 1, informationNats: 1 } }],
      ["another folder's shard", { "shards.0.file": "../good/encodings-00000.safetensors" }],
      ["labels", { "labels.targets": ["edema"] }],
      ["an unknown member", { paths: [] }],
    ])("lyingManifest: %s", async (name, lies) => {
      const place = await copy(`lie ${name}`);
      await rewrite(place, lies);
      expect(await codeOf(reads(place))).toBe("LG-ENCODE-003 exit 3");
    });

    it("hashesThatWereForgedWithTheLie_areNotEnough", async () => {
      const place = await copy("forged");
      const path = join(place, "encodings-00000.safetensors");
      const bytes = await readFile(path);
      const other = Buffer.from(bytes.toString("latin1").replace("[", "{"), "latin1");
      await writeFile(path, other);
      await rewrite(place, { "shards.0.sha256": createHash("sha256").update(other).digest("hex") });
      expect(await codeOf(reads(place))).toBe("LG-ENCODE-003 exit 3");
    });

    it("keyFile_isRefusedWithExit4", async () => {
      const path = join(dir, "hospital.key");
      await writeKey(path, key);
      expect(await codeOf(openRelease(path))).toBe("LG-ENCODE-004 exit 4");
    });

    it("cohortFolder", async () => {
      expect(await codeOf(openRelease(join(dir, "cohort")))).toBe("LG-ENCODE-003 exit 3");
    });
  });
});
