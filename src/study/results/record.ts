/** What a study was, arm by arm: the file `study.json` of its folder. Numbers are in the results table beside it. */
import type { LedgerBudget, LedgerRow } from "../../privacy/index.ts";
import type { AttackerBound } from "../meaning.ts";
import type { Decision } from "./decide.ts";

/** Names of the files of a finished study. */
export const studyFiles = {
  record: "study.json",
  results: "results.parquet",
  charts: "charts",
  report: "report.html",
} as const;

export const armKinds = ["open", "private", "encodings", "synthetic"] as const;
export type ArmKind = (typeof armKinds)[number];

/** A picture in the study's folder. */
export interface Picture {
  /** Relative to the study's folder. */
  readonly path: string;
  readonly title: string;
  readonly about: string;
}

export interface ArmRun {
  readonly seed: number;
  /** Relative to the study's folder, as the next two. */
  readonly folder: string;
  /** The course of the training, as `readCourse` reads it; the file may be missing. */
  readonly curves?: string;
  /** Images and probabilities of the evaluated split, for the owner. */
  readonly predictions?: string;
}

export interface ArmRecord {
  readonly name: string;
  readonly kind: ArmKind;
  readonly about: string;
  /** As the study file has them. */
  readonly settings: unknown;
  readonly state: "done" | "failed" | "waiting";
  readonly error?: { readonly code: string; readonly message: string; readonly hint?: string };
  /** Proven for each unit; null where nothing is proven. */
  readonly epsilon: number | null;
  readonly delta: number | null;
  readonly unit: string | null;
  /** What the proof lets an attacker reach who holds the model; null or absent where nothing is proven of a training on the images. */
  readonly attacker?: AttackerBound | null;
  readonly assumptions: readonly string[];
  readonly runs: readonly ArmRun[];
  readonly pictures: readonly Picture[];
  readonly notAccounted: readonly string[];
}

export interface AttackRecord {
  readonly arm: string;
  readonly attack: string;
  readonly about: string;
  readonly knowledge: readonly string[];
  readonly success: { readonly value: number; readonly low: number | null; readonly high: number | null };
  readonly chance: number;
  readonly seconds: number;
  /** False where the attack did not break its own control: then its failure says nothing. */
  readonly valid: boolean;
  readonly pictures: readonly Picture[];
}

/** An arm minus the arm without privacy, on the same images. */
export interface CostRecord {
  readonly arm: string;
  readonly than: string;
  readonly seed: number;
  readonly target: string;
  /** "sex=F"; null for everybody. */
  readonly group: string | null;
  readonly difference: { readonly value: number | null; readonly low: number | null; readonly high: number | null };
  /** Null where a release suppresses it. */
  readonly verdict: string | null;
}

export interface StudyRecord {
  readonly name: string;
  readonly question?: string;
  /** Text of the study file. */
  readonly file: string;
  readonly sha256: string;
  readonly codeVersion: string;
  readonly node: string;
  readonly machine: { readonly cores: number; readonly memoryBytes: number; readonly platform: string };
  readonly startedAt: string;
  readonly seconds: number;
  readonly seeds: readonly number[];
  readonly cohorts: readonly {
    readonly name: string;
    readonly about: string;
    readonly images: number;
    readonly patients: number;
    readonly fingerprint: string;
    readonly phantom: boolean;
  }[];
  readonly targets: readonly string[];
  /** As `evaluate --group` takes them. */
  readonly groups: readonly string[];
  readonly arms: readonly ArmRecord[];
  readonly attacks: readonly AttackRecord[];
  readonly costs: readonly CostRecord[];
  /** What the shortcut audit said of each target. */
  readonly shortcuts: Readonly<Record<string, { readonly verdict: string; readonly reasons: readonly string[] }>>;
  readonly ledger: { readonly rows: readonly LedgerRow[]; readonly budgets: readonly LedgerBudget[] };
  readonly decision?: Decision;
  readonly limits: readonly string[];
}
