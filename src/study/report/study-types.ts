/** TEMPORARY: replaced by src/study/results when it lands. */
import type { LedgerBudget, LedgerRow } from "../../privacy/index.ts";

export interface ResultRow {
  readonly study: string;
  readonly arm: string;
  readonly seed: number | null;
  readonly cohort: string;
  readonly split: string | null;
  readonly target: string | null;
  readonly group: string | null;
  readonly metric: string;
  readonly value: number | null;
  readonly low: number | null;
  readonly high: number | null;
  readonly images: number | null;
  readonly patients: number | null;
  readonly epsilon: number | null;
  readonly delta: number | null;
  readonly attack: string | null;
  readonly chance: number | null;
  readonly ledgerEntry: string | null;
  readonly file: string;
}
export interface Picture {
  readonly path: string;
  readonly title: string;
  readonly about: string;
}
export type ArmKind = "open" | "private" | "encodings" | "synthetic";
export interface ArmRecord {
  readonly name: string;
  readonly kind: ArmKind;
  readonly about: string;
  readonly settings: unknown;
  readonly state: "done" | "failed" | "waiting";
  readonly error?: { readonly code: string; readonly message: string; readonly hint?: string };
  readonly epsilon: number | null;
  readonly delta: number | null;
  readonly unit: string | null;
  readonly assumptions: readonly string[];
  readonly runs: readonly {
    readonly seed: number;
    readonly folder: string;
    readonly curves?: string;
    readonly predictions?: string;
  }[];
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
  readonly valid: boolean;
  readonly pictures: readonly Picture[];
}
export interface StudyRecord {
  readonly name: string;
  readonly question?: string;
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
  readonly groups: readonly string[];
  readonly arms: readonly ArmRecord[];
  readonly attacks: readonly AttackRecord[];
  readonly shortcuts: Readonly<Record<string, { readonly verdict: string; readonly reasons: readonly string[] }>>;
  readonly ledger: { readonly rows: readonly LedgerRow[]; readonly budgets: readonly LedgerBudget[] };
  readonly limits: readonly string[];
  readonly decision?: Decision;
}
export interface Decision {
  readonly constraints: readonly string[];
  readonly arms: readonly {
    readonly arm: string;
    readonly qualifies: "yes" | "no" | "cannot tell";
    readonly reasons: readonly {
      readonly constraint: string;
      readonly meets: "yes" | "no" | "cannot tell";
      readonly evidence: string;
    }[];
  }[];
}
