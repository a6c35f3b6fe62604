/** From how well each family predicts to what a reader must know before believing an AUROC on the cohort. */
import type { Shortcut } from "./audit.ts";

export interface Verdict {
  readonly verdict: "confounded" | "no shortcut found" | "too few patients to tell";
  /** Why, one sentence each. */
  readonly reasons: readonly string[];
}

/** What a family must surely (lower end of the interval) reach to be a shortcut worth naming. */
const sureAuroc = 0.6;
/** And the share of the whole image's advantage over chance that it must reach. */
const worthShare = 0.5;
/** Share of the whole image's advantage that must be left when the region of the disease is blanked. */
const remainingShare = 0.75;
/** An interval wider than this says neither. */
const widestInterval = 0.3;

/** Columns about the patient and the examination. Others may be findings of the very disease, and decide nothing. */
const circumstance =
  /age|sex|gender|view|projection|position|lateral|side|hospital|site|cent(er|re)|institution|device|scanner|manufacturer|vendor|model|year|date|source|race|ethnic|insurance|ward|comorbid|width|height|spacing/i;

const interval = ({ auroc, low, high }: Shortcut): string =>
  `AUROC ${auroc.toFixed(2)}${low === null || high === null ? "" : ` [${low.toFixed(2)}, ${high.toFixed(2)}]`}`;

/**
 * Metadata at or above `restatement` is taken for the label under another name and told apart. What is left without the
 * region decides only where somebody said where the disease is.
 */
export function judge(
  shortcuts: readonly Shortcut[],
  { restatement, regionGiven }: { readonly restatement: number; readonly regionGiven: boolean },
): Verdict {
  const named = (name: string): Shortcut | undefined => shortcuts.find((s) => s.name === name);
  const advantage = (s: Shortcut): number => s.auroc - 0.5;
  const whole = named("whole image");
  const worth = worthShare * Math.max(0, whole ? advantage(whole) : 0);
  const sure = shortcuts
    .filter((s) => (s.kind === "metadata" || s.kind === "acquisition") && !s.name.startsWith("all "))
    .filter((s) => (s.low ?? 0) > sureAuroc && advantage(s) >= worth)
    .sort((a, b) => b.auroc - a.auroc);
  const deciding: string[] = [];
  const asides: string[] = [];
  for (const s of sure) {
    if (s.kind === "acquisition")
      deciding.push(`How the files were made (${s.name}) alone predicts the target: ${interval(s)}.`);
    else if (s.auroc >= restatement)
      asides.push(
        `The column "${s.name}" gives the label away (${interval(s)}): it is the label, or where the image came from.`,
      );
    else if (circumstance.test(s.name))
      deciding.push(`The column "${s.name}" alone predicts the target: ${interval(s)}.`);
    else
      asides.push(
        `The column "${s.name}" predicts the target (${interval(s)}): a finding of the disease, or a circumstance?`,
      );
  }
  for (const [suffix, who] of [
    ["", "With"],
    [", by the run", "The run, with"],
  ]) {
    const [all, blanked] = [named(`whole image${suffix}`), named(`image without the region${suffix}`)];
    if (!all || !blanked || (blanked.low ?? 0) <= sureAuroc) continue;
    if (advantage(blanked) < remainingShare * advantage(all)) continue;
    const sentence =
      `${who} the ${regionGiven ? "region of the disease" : "middle"} blanked out, the image still predicts the target ` +
      `nearly as well as the whole: ${interval(blanked)} against ${interval(all)}.`;
    if (regionGiven) deciding.push(sentence);
    else asides.push(`${sentence} Say with --region where the disease is to have this judged.`);
  }
  if (deciding.length > 0)
    return {
      verdict: "confounded",
      reasons: [
        ...deciding,
        ...asides,
        "A high AUROC on this cohort is no evidence that the disease was seen; expect less elsewhere, perhaps chance.",
      ],
    };
  const unsure = shortcuts.some(
    ({ low, high }) => low === null || high === null || (high - low > widestInterval && high > sureAuroc),
  );
  return unsure
    ? {
        verdict: "too few patients to tell",
        reasons: [...asides, "Some intervals are too wide to rule a shortcut out."],
      }
    : {
        verdict: "no shortcut found",
        reasons: [...asides, "No circumstance that was tried predicts the target well; others may."],
      };
}
