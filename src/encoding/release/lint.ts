/** What must not be in a release: a table of rules, each looking for one way in which patients or keys have been published. */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { LeadglassError } from "../../errors.ts";
import { looksLikeKey } from "../key-file.ts";
import { labelsFile, manifestFile, type ReleaseManifest } from "./manifest.ts";
import { openRelease, type ReleaseLabels } from "./read.ts";

/** One thing that is wrong. It says where and what kind of thing, never the value. */
export interface Leak {
  readonly rule: string;
  readonly place: string;
  readonly message: string;
  readonly remedy: string;
}

/** The fewest images that may share a combination of published groups, or a label. */
export const smallestGroup = 5;
/** Distinct values that a column to describe images by may have. */
const mostValues = 32;

interface Evidence {
  readonly dir: string;
  readonly files: readonly { readonly name: string; readonly bytes: number; readonly modifiedMs: number }[];
  readonly manifest: ReleaseManifest;
  readonly labels: ReleaseLabels;
  /** Every text in the manifest and the labels that people wrote: names and values, with where it stands. */
  readonly texts: readonly { readonly place: string; readonly text: string }[];
}

type Found = Omit<Leak, "rule">;

/** A rule that looks at each text by itself. */
const aboutTexts =
  (matches: RegExp, message: string, remedy: string) =>
  ({ texts }: Evidence): Found[] =>
    texts.flatMap(({ place, text }) => (matches.test(text) ? [{ place, message, remedy }] : []));

/** A rule about names of columns. */
const aboutColumns =
  (matches: RegExp, message: string) =>
  ({ labels }: Evidence): Found[] =>
    [...Object.keys(labels.targets), ...Object.keys(labels.groups)].flatMap((name) =>
      matches.test(name) ? [{ place: `${labelsFile}, a column`, message, remedy: "Leave this column out." }] : [],
    );

export const releaseRules: Readonly<Record<string, (evidence: Evidence) => Found[]>> = {
  "file-not-in-manifest": ({ files, manifest }) => {
    const known = [manifestFile, labelsFile, ...manifest.shards.map((s) => s.file)];
    return files.flatMap(({ name }) =>
      known.includes(name)
        ? []
        : [
            {
              place: `a file or folder whose name has ${name.length} characters`,
              message: "it is not part of the release: keys, maps and lists of paths have been published like this",
              remedy: "Remove it.",
            },
          ],
    );
  },
  "file-date": ({ files }) =>
    files.flatMap(({ name, modifiedMs }) =>
      modifiedMs === 0
        ? []
        : [
            {
              place: name,
              message: "it is dated: times of files tell in which order and when patients were encoded",
              remedy: "Set its time to 1970-01-01 UTC, as encode does.",
            },
          ],
    ),
  secret: aboutTexts(
    /\b[0-9a-f]{64}\b|\b[A-Za-z0-9+/_-]{43}=?(?![A-Za-z0-9+/_-])/i,
    "32 bytes in hexadecimal or base64: it may be a key",
    "Remove it.",
  ),
  path: aboutTexts(
    /[\\/]|\.(png|jpe?g|dcm|dicom|nii|gz|tiff?|bmp|npy|csv)\b|^[a-z]:/i,
    "a path or a file's name, which hospitals make from identities",
    "Remove it, or give the column other values.",
  ),
  "patient-identifier": (evidence) => [
    ...aboutColumns(/patient|subject|person|\bmrn\b|study|accession|(^|_)u?id$|name$|insurance|\bssn\b/i, "it is named as an identifier")(evidence), // prettier-ignore
    ...aboutTexts(
      /[A-Za-z]*[-_]?\d{4,}|\d+\.\d+\.\d+\.\d+/,
      "a number of four digits or more, as identifiers have",
      "Remove it; give ages and the like in bands.",
    )(evidence),
    ...Object.values(evidence.labels.groups).flatMap((values) =>
      new Set(values).size > mostValues
        ? [
            {
              place: `${labelsFile}, a column`,
              message: `it has more than ${mostValues} different values: together with others that is an identity`,
              remedy: "Put its values into bands, or leave it out.",
            },
          ]
        : [],
    ),
  ],
  date: (evidence) => [
    ...aboutColumns(/date|time|birth|year$|month|day$/i, "it is named as a date")(evidence),
    ...aboutTexts(
      /\b(19|20)\d{2}[-./]?(0?[1-9]|1[0-2])([-./]?\d{1,2})?\b|\b\d{1,2}[./]\d{1,2}[./](\d{2}|\d{4})\b|\b\d{1,2}:\d{2}\b|\b\d{1,2} ?(jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\b/i,
      "a date or a time",
      "Remove it.",
    )(evidence),
  ],
  "device-tag": (evidence) => [
    ...aboutColumns(/manufact|device|station|scanner|serial|institution|software|detector|vendor|\bmodel\b|exif|dicom|\([0-9a-f]{4},[0-9a-f]{4}\)/i, "it is named as a tag of a device or institution")(evidence), // prettier-ignore
    ...aboutTexts(
      /\([0-9a-f]{4}, ?[0-9a-f]{4}\)|\b(siemens|philips|ge healthcare|agfa|fuji(film)?|carestream|canon|hologic|samsung|toshiba|konica)\b/i,
      "a tag or a maker of devices",
      "Remove it.",
    )(evidence),
  ],
  "free-text": aboutTexts(
    /.{41,}|\S+\s+\S+\s+\S+\s+\S+|[\r\n\t]|@/s,
    "free text, which may hold anything",
    "Code it into a few short values, or leave it out.",
  ),
  "small-group": ({ labels }) => {
    const leaks: Found[] = [];
    const groups = Object.values(labels.groups);
    const combined = Map.groupBy([...labels.splits.keys()], (i) => JSON.stringify(groups.map((g) => g[i])));
    const smallest = Math.min(...[...combined.values()].map((rows) => rows.length));
    if (groups.length > 0 && smallest < smallestGroup)
      leaks.push({
        place: labelsFile,
        message: `a combination of its group columns is borne by ${smallest} images; at least ${smallestGroup} were expected`,
        remedy: "Publish fewer group columns, or wider bands.",
      });
    for (const values of Object.values(labels.targets)) {
      const counts = [0, 1].map((v) => values.filter((x) => x === v).length).filter((n) => n > 0);
      if (Math.min(...counts) < smallestGroup)
        leaks.push({
          place: `${labelsFile}, a target`,
          message: `one of its values is borne by ${Math.min(...counts)} images; at least ${smallestGroup} were expected`,
          remedy: "Leave this target out: so rare a finding names its patients.",
        });
    }
    return leaks;
  },
  order: ({ labels }) => {
    const columns = [labels.splits, ...Object.values(labels.targets), ...Object.values(labels.groups)];
    return columns.flatMap((values) => {
      const { changes, expected, deviation } = changesOf(values);
      // Ten standard deviations: no random order comes near it.
      return expected > 20 && changes < expected - 10 * deviation
        ? [
            {
              place: `${labelsFile}, a column`,
              message: `its values stand in ${changes + 1} runs; a random order has about ${Math.round(expected) + 1}`,
              remedy: "Encode again: the order of a release must be random.",
            },
          ]
        : [];
    });
  },
};

/** How often neighbouring values differ, with mean and a bound on the deviation of that over random orders. */
function changesOf(values: readonly unknown[]): { changes: number; expected: number; deviation: number } {
  const n = values.length;
  let changes = 0;
  for (let i = 1; i < n; i++) if (values[i] !== values[i - 1]) changes++;
  const same = [...Map.groupBy(values, (v) => v).values()].reduce((sum, g) => sum + g.length * (g.length - 1), 0);
  const differing = 1 - same / (n * (n - 1));
  return { changes, expected: (n - 1) * differing, deviation: Math.sqrt(n * differing) };
}

/** Everything that should not be in a release folder; empty where nothing was found. */
export async function findLeaks(dir: string): Promise<Leak[]> {
  const names = await readdir(dir);
  const files = await Promise.all(
    names.map(async (name) => {
      const found = await stat(join(dir, name));
      return { name, bytes: found.size, modifiedMs: found.mtimeMs, isFile: found.isFile() };
    }),
  );
  // A key is the worst of all, so it is looked for before anything that may fail.
  for (const { name, bytes, isFile } of files)
    if (isFile && bytes < 65_536 && looksLikeKey(await readFile(join(dir, name), "latin1")))
      return [
        {
          rule: "key",
          place: `a file whose name has ${name.length} characters`,
          message: "this is a secret key",
          remedy: "Remove it. If anybody may have read it, make a new key and encode again.",
        },
      ];
  await using release = await openRelease(dir);
  const { manifest, labels } = release;
  const texts = textsOf(manifest, labels);
  return Object.entries(releaseRules).flatMap(([rule, look]) =>
    unique(look({ dir, files, manifest, labels, texts })).map((leak) => ({ rule, ...leak })),
  );
}

const unique = (leaks: readonly Found[]): Found[] => [
  ...new Map(leaks.map((leak) => [`${leak.place} ${leak.message}`, leak])).values(),
];

/** Names and values that people chose. What the schema fixes to numbers, hashes and names of schemes is not among them. */
function textsOf(manifest: ReleaseManifest, labels: ReleaseLabels): Evidence["texts"] {
  const columns = [...Object.keys(labels.targets), ...Object.keys(labels.groups)];
  return [
    { place: manifestFile, text: manifest.scheme.name },
    ...columns.map((text) => ({ place: `${labelsFile}, the name of a column`, text })),
    ...[...new Set(labels.splits)].map((text) => ({ place: `${labelsFile}, a split`, text })),
    ...Object.values(labels.groups).flatMap((values) =>
      [...new Set(values)].flatMap((text) => (text === null ? [] : [{ place: `${labelsFile}, a group`, text }])),
    ),
  ];
}

/** Throws LG-ENCODE-004, with the first leak, where a release would give away more than encodings and labels. */
export async function lintRelease(dir: string): Promise<void> {
  const leaks = await findLeaks(dir);
  const first = leaks[0];
  if (first === undefined) return;
  const others = leaks.length > 1 ? ` (and ${leaks.length - 1} more)` : "";
  throw new LeadglassError("LG-ENCODE-004", `${first.place}: ${first.message}${others}`, {
    hint: first.remedy,
    fields: { rules: [...new Set(leaks.map((leak) => leak.rule))] },
  });
}
