/** The page of a judgement of synthetic images. */
import type { Figure, FidelityRow } from "../../synthesis/index.ts";
import type { JudgeReport } from "../judge-run.ts";
import { html, htmlTable, page, pngUrl, type Html } from "./page.ts";

export interface JudgePictures {
  /** PNG: real images above, synthetic ones below. */
  readonly samples: Uint8Array;
  /** PNG by space: synthetic images above the real ones they are closest to. */
  readonly nearDuplicates: Readonly<Record<string, Uint8Array>>;
}

/** Three significant digits, with a true minus sign. */
export const short = (value: number): string =>
  (Math.abs(value) >= 1000 ? String(Math.round(value)) : String(Number(value.toPrecision(3)))).replace("-", "−");

export const figureText = (figure: Figure | null | undefined): string =>
  figure ? `${short(figure.value)} [${short(figure.low)}, ${short(figure.high)}]` : "";

/** One row of the table of distances, without its name. */
export const fidelityCells = ({ frechet, kernel, coverage }: FidelityRow): string[] => [
  figureText(frechet),
  frechet.extrapolated === null ? "" : short(frechet.extrapolated),
  figureText(kernel),
  figureText(coverage?.precision),
  figureText(coverage?.recall),
  figureText(coverage?.density),
  figureText(coverage?.coverage),
];

export const fidelityHeading = [
  "Fréchet",
  "for many images",
  "kernel (KID)",
  "precision",
  "recall",
  "density",
  "coverage",
];

export const fidelityName = ({ images, label, n }: FidelityRow): string =>
  `${images}${label === null ? "" : `, class ${label}`} (${n.other} : ${n.real})`;

/** What the memorisation tests say, in a sentence. */
export function memorySentence({ nearestNeighbour }: JudgeReport): string {
  const { memorised, spaces, falseAlarmRate } = nearestNeighbour;
  if (memorised === null)
    return "There is no held-out patient in the real cohort, so memorisation cannot be told from likeness.";
  return memorised
    ? `MEMORISED: by ${spaces.join(" and ")}, synthetic images lie closer to training patients than to others who were not trained on.`
    : `No memorisation found, at a false-alarm rate of ${100 * falseAlarmRate} % over all spaces; that is no proof of privacy.`;
}

/** The judgement as one HTML document. */
export function judgePage(report: JudgeReport, pictures: JudgePictures): string {
  const { images, patients, fidelity, split } = report;
  return page(
    "Leadglass: synthetic images judged",
    html`
      <h1>Synthetic images, judged</h1>
      <p class="lead">
        ${images.synthetic} synthetic images against ${images.real} real ones of ${patients.real} patients (${split}),
        with ${images.heldOut} real images of ${patients.heldOut} other patients as a control that no generator made.
      </p>

      <section>
        <h2>What they look like</h2>
        <figure>
          <img src="${pngUrl(pictures.samples)}" alt="Real images above, synthetic images below" width="996" />
          <figcaption>two rows of real images (${split}), then two rows of synthetic ones, drawn at random</figcaption>
        </figure>
      </section>

      <section>
        <h2>How like the real ones, and how varied</h2>
        ${[...new Set(fidelity.map(({ features }) => features))].map(
          (features) => html`
            <h3>${features}</h3>
            ${htmlTable(
              ["images (other : real)", ...fidelityHeading],
              fidelity
                .filter((row) => row.features === features)
                .map((row) => [fidelityName(row), ...fidelityCells(row)]),
            )}
          `,
        )}
        <p class="quiet">
          Lower is better for the two distances, higher for the rest. Brackets are 95 % intervals over resampled
          patients and synthetic images; for real against real, the least and most of random halves. A distance should
          be read against the real images of other patients and of the other half, which no generator can be asked to
          beat.
        </p>
        <h3>The radiomic features that differ most</h3>
        ${htmlTable(
          ["feature", "median, in real standard deviations from the real mean", "quartiles"],
          report.differences.map(({ feature, difference, low, high }) => [
            feature,
            short(difference),
            `${short(low)} to ${short(high)}`,
          ]),
        )}
      </section>

      ${consistency(report)} ${memory(report, pictures)}

      <section>
        <h2>What is assumed</h2>
        ${report.assumptions.map((line) => html`<p class="quiet">${line}</p>`)}
        <p class="quiet">
          ${report.ledger === null ? "No ledger could be written." : `Entries ${report.ledger.entries.join(" and ")} of ${report.ledger.path}.`}
          The figures carry no noise, and this page shows patients: it stays with their data's owner.
        </p>
      </section>
    `,
  );
}

function consistency({ classConsistency, target }: JudgeReport): Html {
  if (classConsistency.length === 0) return html``;
  return html`<section>
    <h2>Whether they teach the same: ${target ?? ""}</h2>
    ${htmlTable(
      ["trained on", "tested on", "AUROC", "images"],
      classConsistency.map(({ train, test, auroc, trainImages, testImages, reason }) => [
        train,
        test,
        auroc ? figureText(auroc) : (reason ?? ""),
        `${trainImages} : ${testImages}`,
      ]),
    )}
    <p class="quiet">Kernel ridge regression on all the features above.</p>
  </section>`;
}

function memory(report: JudgeReport, { nearDuplicates }: JudgePictures): Html {
  const { memorisation } = report.nearestNeighbour;
  if (memorisation === null)
    return html`<section>
      <h2>Whom they give away</h2>
      <p>${memorySentence(report)}</p>
    </section>`;
  const spaces = Object.entries(memorisation);
  return html`<section>
    <h2>Whom they give away</h2>
    <p>${memorySentence(report)}</p>
    ${htmlTable(
      ["", "suspects", "of training patients", "if nothing were memorised", "p", "membership AUROC", "caught at 1 %"],
      spaces.map(([space, { suspects, membership }]) => [
        space,
        suspects.images,
        figureText(suspects.share),
        figureText(suspects.expected),
        short(suspects.pValue),
        figureText(membership.auroc),
        membership.tprAtFpr.value === null ? "not enough patients" : short(membership.tprAtFpr.value),
      ]),
    )}
    <p class="quiet">
      A suspect is a synthetic image much closer to one real patient than to the next. Suspects were chosen without
      looking at who was trained on; if nothing was memorised they are as often close to patients who were not.
      Membership: who has a synthetic image closer than his place among real images explains; 0.5 is guessing.
    </p>
    ${htmlTable(
      [
        "median distance to the nearest image",
        "synthetic to training",
        "held-out to training",
        "synthetic to held-out",
      ],
      spaces.map(([space, { distances: d }]) => [
        space,
        short(d.syntheticToTrain.median),
        short(d.heldOutToTrain.median),
        short(d.syntheticToHeldOut.median),
      ]),
    )}
    ${canaries(spaces)}
    ${Object.entries(nearDuplicates).map(
      ([space, picture]) => html`
        <figure>
          <img src="${pngUrl(picture)}" alt="Synthetic images above the real images closest to them" />
          <figcaption>
            closest by ${space}: synthetic above, real below
            (${report.nearDuplicates
              .filter((pair) => pair.space === space)
              .map(({ trained, ratio }) => `${trained ? "training" : "held-out"} ${short(ratio)}`)
              .join(", ")};
            1 is no closer than the next patient)
          </figcaption>
        </figure>
      `,
    )}
  </section>`;
}

function canaries(spaces: [string, NonNullable<JudgeReport["nearestNeighbour"]["memorisation"]>[string]][]): Html {
  const planted = spaces.filter(([, { canaries: found }]) => found !== null && found.length > 0);
  if (planted.length === 0) return html``;
  return html`<h3>Planted images</h3>
    ${htmlTable(
      ["", "ranks among held-out images", "mean exposure in bits"],
      planted.map(([space, { canaries: found }]) => [
        space,
        found!.map(({ rank }) => rank).join(", "),
        short(found!.reduce((sum, { exposure }) => sum + exposure, 0) / found!.length),
      ]),
    )}`;
}
