/** A study that never was, with everything in it that a report must show as what it is. */
import type { ArmRecord, ResultRow, StudyRecord } from "../results/index.ts";

const arm = (name: string, kind: ArmRecord["kind"], more: Partial<ArmRecord> = {}): ArmRecord => ({
  name,
  kind,
  about: `${name}, made up for a test`,
  settings: {},
  state: "done",
  epsilon: null,
  delta: null,
  unit: null,
  assumptions: [],
  runs: [1, 2].map((seed) => ({ seed, folder: `runs/${name}-${seed}` })),
  pictures: [],
  notAccounted: [],
  ...more,
});

const epsilon = (value: number): Partial<ArmRecord> => ({
  epsilon: value,
  delta: 1e-4,
  unit: "patient",
  attacker: { falsePositiveRate: 0.01, truePositiveRate: value / 10, exact: true },
  assumptions: ["the number of training patients is public"],
  notAccounted: ["the figures on the test patients"],
});

const sealed = { valid: true, pictures: [], seconds: 12.3 };

export const record: StudyRecord = {
  name: "made-up",
  question: "Which way should three hospitals share their masses?",
  file: "name: made-up\nseeds: [1, 2]\n",
  sha256: "ab".repeat(32),
  codeVersion: "0.1.0",
  node: "24.21.0",
  machine: { cores: 2, memoryBytes: 24 * 2 ** 30, platform: "linux-x64" },
  startedAt: "2026-11-27T00:00:00.000Z",
  seconds: 1234,
  seeds: [1, 2],
  cohorts: [
    {
      name: "masses",
      about: "phantom masses",
      images: 840,
      patients: 360,
      fingerprint: "cd".repeat(32),
      phantom: true,
    },
  ],
  targets: ["malignant", "rare"],
  groups: ["sex", "age:40,60", "site"],
  arms: [
    arm("plain", "open"),
    arm("epsilon 8", "private", epsilon(8)),
    arm("epsilon 1", "private", epsilon(1)),
    arm("neuracrypt", "encodings", {
      assumptions: ["the key stays in the hospital"],
      pictures: [
        { path: "pictures/encoded.png", title: "Encodings", about: "Six images above what left the hospital" },
      ],
    }),
    arm("linear", "encodings"),
    arm("pool", "synthetic", {
      pictures: [{ path: "pictures/gone.png", title: "Samples", about: "Twelve samples of each class" }],
    }),
    arm("private generator", "synthetic", {
      state: "failed",
      error: { code: "LG-PRIVACY-002", message: "the budget is spent", hint: "Set a higher budget." },
    }),
    arm("not yet", "synthetic", { state: "waiting", runs: [] }),
  ],
  attacks: [
    {
      ...{ arm: "plain", attack: "membership", about: "how small the loss is", knowledge: ["the model"] },
      ...{ success: { value: 0.61, low: 0.55, high: 0.67 }, chance: 0.5, ...sealed },
    },
    {
      ...{ arm: "epsilon 8", attack: "membership", about: "how small the loss is", knowledge: ["the model"] },
      ...{ success: { value: 0.51, low: 0.45, high: 0.57 }, chance: 0.5, ...sealed },
    },
    {
      ...{ arm: "neuracrypt", attack: "matching", about: "whose encoding is whose", knowledge: ["the images", "the scheme"] }, // prettier-ignore
      ...{ success: { value: 0.97, low: 0.93, high: 0.99 }, chance: 0.01, ...sealed },
      pictures: [
        {
          path: "pictures/matching.png",
          title: "Reconstructions",
          about: "Original, reconstruction and the mean image",
        },
      ],
    },
    {
      ...{ arm: "linear", attack: "mmd", about: "a decoder fitted to moments", knowledge: ["other images"] },
      ...{ success: { value: 0.01, low: 0, high: 0.03 }, chance: 0.01, ...sealed, valid: false },
    },
  ],
  costs: [],
  shortcuts: {
    malignant: { verdict: "no shortcut found", reasons: ["No circumstance that was tried predicts the target well."] },
    rare: { verdict: "confounded", reasons: ['The column "site" alone predicts the target: AUROC 0.85 [0.80, 0.90].'] },
  },
  ledger: {
    rows: [
      {
        ...{ index: 0, kind: "training", access: "accounted", cohortFingerprint: "cd".repeat(32), at: null, run: "a" },
        sentence: "A model was trained on 252 patients.",
        ...{ splits: ["train"], epsilon: 8, delta: 1e-4, cumulative: { epsilon: 8, delta: 1e-4, unit: "patient" } },
      },
      {
        ...{ index: 1, kind: "evaluation", access: "not accounted", cohortFingerprint: "cd".repeat(32), at: null },
        sentence: "Figures on the test patients were shown.",
        ...{ run: "a", splits: ["test"], epsilon: null, delta: null, cumulative: null },
      },
    ] as unknown as StudyRecord["ledger"]["rows"],
    budgets: [],
  },
  limits: ["Every arm was tried with two seeds only."],
  decision: {
    constraints: ["AUROC at least 0.75", "no attack that succeeds"],
    arms: [
      {
        arm: "epsilon 8",
        qualifies: "yes",
        reasons: [{ constraint: "AUROC", meets: "yes", evidence: "0.84 [0.76, 0.91], all of it at least 0.75" }],
      },
      {
        arm: "neuracrypt",
        qualifies: "no",
        reasons: [{ constraint: "attacks", meets: "no", evidence: "matching succeeded: 0.97 [0.93, 0.99]" }],
      },
      {
        arm: "epsilon 1",
        qualifies: "cannot tell",
        reasons: [{ constraint: "AUROC", meets: "cannot tell", evidence: "0.69 [0.58, 0.78], on both sides of 0.75" }],
      },
    ],
  },
};

const row = (own: Partial<ResultRow> & Pick<ResultRow, "arm" | "value">): ResultRow => ({
  study: record.name,
  seed: 1,
  cohort: "masses",
  split: "test",
  target: "malignant",
  group: null,
  metric: "auroc",
  low: own.value === null ? null : own.value - 0.08,
  high: own.value === null ? null : own.value + 0.06,
  images: 126,
  patients: 54,
  epsilon: record.arms.find(({ name }) => name === own.arm)?.epsilon ?? null,
  delta: null,
  attack: null,
  chance: null,
  ledgerEntry: "ef".repeat(32),
  file: `runs/${own.arm}-1/evaluation.json`,
  ...own,
});

const values = { plain: 0.86, "epsilon 8": 0.84, "epsilon 1": 0.66, neuracrypt: 0.83, linear: 0.7, pool: 0.85 };

export const rows: readonly ResultRow[] = Object.entries(values).flatMap(([arm, value]) => [
  row({ arm, value }),
  row({ arm, value: value - 0.02, seed: 2 }),
  // Three positives: no interval, or no AUROC at all.
  row({ arm, value: arm === "plain" ? 0.9 : null, low: null, high: null, target: "rare" }),
  ...(["plain", "epsilon 8", "neuracrypt"].includes(arm)
    ? [
        row({ arm, value: value + 0.03, group: "sex=F", patients: 30 }),
        row({ arm, value: value - 0.1, group: "sex=M", patients: 24, low: value - 0.3, high: value }),
        row({ arm, value: null, low: null, high: null, group: "age=under 40", patients: 4, images: 6 }),
        row({ arm, value: null, low: null, high: null, group: "age=40 to 59", patients: null, images: null }),
        row({ arm, value: value + 0.01, group: "age=60 and over", patients: 50 }),
      ]
    : []),
]);
