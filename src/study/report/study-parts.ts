/** What the parts of a study's page share. */
import { html, raw, type Html } from "./page.ts";
import type { Drawing } from "./study-charts.ts";
import type { Picture } from "../results/index.ts";
import type { ArmSummary } from "./summary.ts";

/** A picture ready to be shown; null for a file that is gone or did not fit. */
export interface ShownPicture extends Picture {
  readonly url: string | null;
  readonly width: number;
}

export interface StudyPictures {
  readonly tradeOffs: Readonly<Record<string, readonly Drawing[]>>;
  readonly utility: Drawing | null;
  readonly groups: Readonly<Record<string, readonly Drawing[]>>;
  readonly histories: readonly { readonly title: string; readonly drawing: Drawing }[];
  /** By path. */
  readonly pictures: ReadonlyMap<string, ShownPicture>;
}

export const tag = (text: string, kind: "good" | "bad" | "plain"): Html =>
  html`<span class="tag ${kind}">${text}</span>`;

export const plural = (n: number, one: string, many = `${one}s`): string => `${n.toLocaleString("en-US")} ${n === 1 ? one : many}`; // prettier-ignore

export const chart = ({ wide, narrow }: Drawing): Html =>
  wide === narrow
    ? html`<figure>${raw(wide)}</figure>`
    : html`<figure><div class="broad">${raw(wide)}</div><div class="narrow">${raw(narrow)}</div></figure>`; // prettier-ignore

export const armName = ({ mark, arm }: Pick<ArmSummary, "mark" | "arm">): Html =>
  html`<span class="mark">${mark}</span> ${arm.name}`;
