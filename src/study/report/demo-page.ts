/** The demo's page. */
import type { DemoArm, DemoReport } from "../demo.ts";
import { percentText } from "./meaning.ts";
import { html, htmlTable, page, pngUrl, raw, type Html } from "./page.ts";

interface Pictures {
  /** SVG. */
  readonly roc: string;
  readonly intervals: string;
  /** PNG. */
  readonly benign: Uint8Array;
  readonly malignant: Uint8Array;
}

/** Two decimals with a true minus sign, and no minus before zero. */
const digits = (value: number): string =>
  value
    .toFixed(2)
    .replace(/^-0\.00$/, "0.00")
    .replace("-", "−");

const withInterval = ({
  value,
  low,
  high,
}: {
  value: number | null;
  low: number | null;
  high: number | null;
}): string =>
  value === null
    ? "not defined"
    : low === null || high === null
      ? digits(value)
      : `${digits(value)} [${digits(low)}, ${digits(high)}]`;

/** The report as one HTML document. */
export function demoPage(report: DemoReport, pictures: Pictures): string {
  const { arms, target, images, patients, testImages, testPatients } = report;
  return page(
    "Leadglass: the same patients, with and without privacy",
    html`
      <h1>The same patients, with and without privacy</h1>
      <p class="lead">
        ${numberWord(arms.length)} models learned from the same ${patients} drawn patients whether a mass is malignant.
        The first promises nothing. The others were trained with differential privacy: how much they can give away about
        any one patient is limited, by proof.
      </p>

      <section>
        <h2>The patients</h2>
        <p>
          ${images} mammographic masses of ${patients} patients, several images each, split by patient. Nobody here ever
          lived: every image is drawn from a seed.
        </p>
        <figure>
          <img src="${pngUrl(pictures.benign)}" alt="Twelve drawn masses labelled benign" width="798" />
          <figcaption>benign</figcaption>
        </figure>
        <figure>
          <img src="${pngUrl(pictures.malignant)}" alt="Twelve drawn masses labelled malignant" width="798" />
          <figcaption>malignant</figcaption>
        </figure>
      </section>

      <section>
        <h2>What privacy cost</h2>
        <p>${costSentence(arms)}</p>
        ${comparison(arms, target)}
        <p class="quiet">
          ${testImages} test images of ${testPatients} patients, none of whom was trained on. Brackets are 95 %
          intervals over resampled patients; with so few patients they are wide. Thresholds were chosen on the
          validation split, for the private models from counts with noise. Private models draw fresh noise each time:
          their figures differ from run to run.
        </p>
      </section>

      <section>
        <h2>In pictures</h2>
        <div class="pair">
          <figure>${raw(pictures.roc)}</figure>
          <figure>${raw(pictures.intervals)}</figure>
        </div>
      </section>

      <section>
        <h2>What privacy bought</h2>
        <p>
          Suppose somebody holds the model, knows the method and every other patient, and wants to know who was in the
          training. Even if 1 % of those who were not may be accused wrongly, no more than this share of those who were
          can be caught:
        </p>
        ${attackers(arms)}
        <p class="quiet">
          The bound holds against any attacker with any computer, now and later. It is about one model: who publishes
          two of them spends both budgets.
        </p>
      </section>

      <section>
        <h2>Every access to the patients</h2>
        ${arms.map(
          ({ name, ledger }) =>
            html`<h3>${name}</h3>
              ${htmlTable(
                ["entry", "access", "what"],
                ledger.map(({ index, access, sentence }) => [index, tag(access), sentence]),
              )} `,
        )}
        <p class="quiet">
          What is not accounted lies outside every epsilon: here the figures on the test patients above, and the model
          without privacy. What is for the owner only must stay so. The three models share one ledger, so their numbers
          go on, and what they cost the same patients adds up in it.
        </p>
      </section>

      <section>
        <h2>What to try next</h2>
        <pre>${nextCommands(report)}</pre>
        <p class="quiet">
          A cohort of your own is a folder with a <code>metadata.csv</code> whose column <code>file_name</code> names
          the images beside it; <code>patient_id</code> and <code>split</code> are used when they are there, and any
          column of 0, 1 and blank can be learned.
        </p>
      </section>
    `,
  );
}

function costSentence([first, ...others]: readonly DemoArm[]): string {
  const changes = others.flatMap(({ name, aurocLost }) => {
    if (aurocLost === null || aurocLost.value === null) return [];
    const { value, low, high } = aurocLost;
    if (low === null || high === null) return [`${name} changed it by ${signed(-value)}`];
    const doubt = low <= 0 && high >= 0 ? ", which so few patients cannot tell from no change" : "";
    return [`${name} changed it by ${signed(-value)} [${signed(-high)}, ${signed(-low)}]${doubt}`];
  });
  const { auroc } = Object.values(first!.metrics)[0]!;
  return `Without privacy the area under the ROC curve is ${withInterval(auroc)}; ${changes.join("; ")}.`;
}

const signed = (value: number): string => (value >= 0.005 ? "+" : "") + digits(value);

function comparison(arms: readonly DemoArm[], target: string): Html {
  const metrics = [
    ["AUROC", "auroc"],
    ["AUPRC", "auprc"],
    ["accuracy", "accuracy"],
    ["sensitivity", "sensitivity"],
    ["specificity", "specificity"],
  ] as const;
  const prevalence = arms[0]!.metrics[target]!.prevalence?.toFixed(2) ?? "not defined";
  return htmlTable(
    ["", ...arms.map(({ name }) => name)],
    [
      ...metrics.map(([title, key]) => [
        key === "auprc" ? html`${title}<br /><span class="quiet">prevalence ${prevalence}</span>` : title,
        ...arms.map((arm) => withInterval(arm.metrics[target]![key])),
      ]),
      [
        "guarantee",
        ...arms.map(({ privacy }) =>
          privacy ? `epsilon ${privacy.epsilon.toPrecision(3).replace(/\.?0+$/, "")}, delta ${privacy.delta}` : "none",
        ),
      ],
      [
        "noise",
        ...arms.map(({ privacy }) => (privacy ? `${privacy.noiseMultiplier.toFixed(2)} × clipping norm` : "none")),
      ],
      ["model", ...arms.map(({ model }) => model)],
    ],
  );
}

/** What an attacker can reach, as bars: guessing first, the models by their promise, the one without last. */
function attackers(arms: readonly DemoArm[]): Html {
  const rows = arms
    .map(({ name, attacker }) => ({ name, share: attacker?.truePositiveRate ?? 1, limited: attacker !== null }))
    .sort((a, b) => a.share - b.share);
  return htmlTable(
    ["", "caught at most", ""],
    [{ name: "guessing, without any model", share: 0.01, limited: true }, ...rows].map(({ name, share, limited }) => [
      name,
      limited ? percentText(share) : "no limit",
      html`<div class="bar${limited ? "" : " open"}" style="width: ${(100 * share).toFixed(1)}%"></div>`,
    ]),
  );
}

const numberWord = (n: number): string => ["No", "One", "Two", "Three", "Four", "Five"][n] ?? String(n);

const tag = (access: DemoArm["ledger"][number]["access"]): Html =>
  access === "not accounted"
    ? html`<span class="tag missing">NOT ACCOUNTED</span>`
    : html`<span class="tag ${access.replace(" ", "-")}">${access}</span>`;

const nextCommands = ({ cohort, target, arms }: DemoReport): string => {
  const last = arms.at(-1)!.run;
  return [
    `leadglass evaluate --run ${last} --cohort ${cohort} --group hospital,age`,
    `leadglass predict --run ${last} --cohort ${cohort} --out predictions.csv`,
    `leadglass export --run ${last} --out ${target}.onnx`,
    `leadglass ledger verify ${last}`,
    `leadglass train --cohort ${cohort} --target ${target} --epsilon 3 --out runs/epsilon-3`,
    "leadglass cohort make --kind chest --patients 600 --out chest",
  ].join("\n");
};
