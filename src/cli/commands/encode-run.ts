import { findLeaks, openRelease, schemeNames } from "../../encoding/index.ts";
import { encodeRun } from "../../study/encode-run.ts";
import { command } from "../command.ts";
import { count, duration, fileSize, significant, table } from "../output.ts";

export const encodeCommand = command({
  name: "encode",
  about:
    "Passes a cohort's images through the secret network of a key and writes encodings, labels and a manifest, in random order. The published scheme is broken: a release is personal data, and attack shows what it gives away.",
  options: {
    cohort: { kind: "text", value: "DIR", about: "the cohort's folder", required: true },
    key: { kind: "text", value: "FILE", about: "the hospital's key", required: true },
    out: { kind: "text", value: "RELEASE", about: "the folder to write; it must not exist", required: true },
    scheme: { kind: "text", about: "the kind of encoder", oneOf: schemeNames, initial: "neuracrypt" },
    target: { kind: "list", value: "COLUMN", about: "labels to publish; all targets of the cohort unless given" },
    group: {
      kind: "list",
      value: "COLUMN",
      about: "columns to publish for evaluation by group; ages in bands; no combination may be rare",
    },
    where: { kind: "text", value: "COLUMN=VALUE", about: "only the images of one hospital or device" },
    subset: { kind: "text", value: "NAME", about: "use the key that this key gives to a subset of that name" },
    "image-size": {
      kind: "whole",
      value: "PIXELS",
      about: "side that images are brought to",
      initial: 256,
      atLeast: 1,
    },
    channels: { kind: "whole", about: "1 for grey, 3 for colour", initial: 1, atLeast: 1, atMost: 3 },
    dtype: { kind: "text", about: "how numbers are stored", oneOf: ["float16", "float32"], initial: "float16" },
    map: { kind: "text", value: "FILE", about: "write for yourself which image is behind which encoding" },
    ledger: { kind: "text", value: "DIR", about: "the folder of ledgers, as for train" },
    resume: { kind: "flag", about: "go on with an encoding that was interrupted" },
    device: { kind: "text", about: "where to compute", oneOf: ["cpu", "webgpu", "cuda"], initial: "cpu" },
  },
  examples: [
    "leadglass encode --cohort chests --key hospital.key --out release",
    "leadglass encode --cohort chests --key north.key --where hospital=north --target pneumonia --out north",
  ],
  async run(options, terminal) {
    using progress = terminal.progress("encoding", "images", { leave: true });
    const report = await encodeRun({
      ...{ cohort: options.cohort, key: options.key, out: options.out, scheme: options.scheme },
      targets: options.target,
      groups: options.group,
      ...(options.where === undefined ? {} : { where: options.where }),
      ...(options.subset === undefined ? {} : { subset: options.subset }),
      ...(options.map === undefined ? {} : { map: options.map }),
      ...(options.ledger === undefined ? {} : { ledger: options.ledger }),
      imageSize: options["image-size"],
      channels: options.channels === 1 ? 1 : 3,
      dtype: options.dtype,
      resume: options.resume,
      device: options.device,
      signal: terminal.signal,
      onProgress: progress.update,
      onWarning: terminal.warn,
    });
    progress[Symbol.dispose]();
    const { bound } = report;
    return {
      json: report,
      text: table([
        ["", ""],
        ["release", report.release],
        ["scheme", `${report.scheme}, key ${report.key}`],
        ["images", `${count(report.images)}, each [${report.shape.join(", ")}], ${fileSize(report.bytes)} in all`],
        ["labels", report.targets.join(", ")],
        ["time", `${duration(report.secondsPerImage)} an image; peak memory ${fileSize(report.peakMemoryBytes)}`],
        [
          "proven",
          bound
            ? `at most ${significant(bound.informationNats)} nats an image; Gaussian privacy mu ${significant(bound.mu)} for each image`
            : "nothing: this scheme has published breaks",
        ],
        ["not accounted", `encodings carry no epsilon; entry ${report.ledger.index} of ${report.ledger.path}`],
        ["under this key", `${count(report.publishedWithKey)} images so far`],
      ]).trimStart(),
    };
  },
});

export const encodeCheck = command({
  name: "encode check",
  about:
    "Reads a whole release, compares every hash, and looks for keys, paths, identifiers, dates, device tags, free text, rare groups and telling orders. Exit code 4 where something was found.",
  positionals: ["RELEASE"],
  options: {},
  examples: ["leadglass encode check release"],
  async run(_, terminal, [dir]) {
    const leaks = await findLeaks(dir!);
    if (leaks.some((leak) => leak.rule === "key"))
      return { json: { release: dir, images: null, leaks }, text: leakLines(leaks), exitCode: 4 };
    await using release = await openRelease(dir!);
    using progress = terminal.progress("checking", "shards");
    const { manifest } = release;
    let first = 0;
    for (const [k, { images }] of manifest.shards.entries()) {
      // The first encoding of each shard; its shard's hash is compared before.
      await release.load([first]);
      first += images;
      progress.update(k + 1, manifest.shards.length);
    }
    progress[Symbol.dispose]();
    const { images, scheme, key, splits, bound } = manifest;
    return {
      json: { release: dir, id: manifest.release, scheme: scheme.name, key, images, splits, bound, leaks },
      text:
        leaks.length > 0
          ? leakLines(leaks)
          : `${count(images)} encodings of scheme ${scheme.name} under key ${key}; whole, and nothing else was found in it`,
      exitCode: leaks.length > 0 ? 4 : 0,
    };
  },
});

const leakLines = (leaks: Awaited<ReturnType<typeof findLeaks>>): string =>
  leaks.map(({ rule, place, message, remedy }) => `${rule}: ${place}: ${message}. ${remedy}`).join("\n");
