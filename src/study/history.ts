/** What another run's weights have cost goes where the weights go. */
import { lineageOf, type LedgerBody, type LedgerEntry } from "../privacy/index.ts";
import { readLedger, readRun } from "./run-folder.ts";

/**
 * What a ledger must take over before a run on `cohortFingerprint` may start from the weights in `dir`: nothing where the
 * same ledger already holds it; of the same patients under another ledger, everything; of other patients, what went into
 * those weights. Returns that, and the name under which the ledger knows the run started from.
 * Throws LG-TRAIN-002 and LG-PRIVACY-008 as reading the run does.
 */
export async function historyOf(
  dir: string,
  cohortFingerprint: string,
  ledger: readonly LedgerEntry[],
): Promise<{ readonly bodies: LedgerBody[]; readonly from: string }> {
  const run = await readRun(dir);
  const { entries } = await readLedger(dir);
  const known = new Map<string, string>();
  for (const { hash, origin, run: name = "" } of ledger) {
    known.set(hash, name);
    if (origin !== undefined) known.set(origin, name);
  }
  const isKnown = ({ hash, origin = hash }: LedgerEntry): boolean => known.has(hash) || known.has(origin);
  // Names are unique within a ledger only: a name that comes from another gets that ledger's first hash behind it.
  const suffix = `, of ledger ${entries[0]!.hash.slice(0, 8)}`;
  const names = new Map<string, string>();
  for (const entry of entries) {
    if (entry.run === undefined || names.has(entry.run)) continue;
    const here = known.get(entry.hash) ?? known.get(entry.origin ?? entry.hash);
    names.set(entry.run, here ?? (entry.origin === undefined ? `${entry.run}${suffix}` : entry.run));
  }
  const lineage = lineageOf(entries, run.ledger.run);
  const concerns = (entry: LedgerEntry): boolean =>
    run.cohortFingerprint === cohortFingerprint || (entry.run !== undefined && lineage.has(entry.run));
  const bodies = entries.filter((entry) => concerns(entry) && !isKnown(entry)).flatMap((entry) => copyOf(entry, names));
  return { bodies, from: names.get(run.ledger.run)! };
}

/** An entry of another ledger as it is entered here; budgets stay where they were set. */
function copyOf(entry: LedgerEntry, names: ReadonlyMap<string, string>): LedgerBody[] {
  if (entry.kind === "budget") return [];
  const { index: _i, previousHash: _p, access: _a, sentence: _s, cumulative: _c, hash, origin = hash, ...body } = entry;
  const run = body.run === undefined ? {} : { run: names.get(body.run)! };
  if (body.kind === "training") {
    const { epsilon: _e, ...training } = body;
    return [{ ...training, run: names.get(body.run)!, origin }];
  }
  if (body.kind === "started-from")
    return [{ ...body, run: names.get(body.run)!, from: names.get(body.from) ?? body.from, origin }];
  return [{ ...body, ...run, origin } as LedgerBody];
}
