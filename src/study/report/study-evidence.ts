/** The sections of a study's page that stand behind its answer: attacks, pictures, courses, figures, the ledger, limits. */
import { html, htmlTable, type Html } from "./page.ts";
import { meaningOf } from "../meaning.ts";
import { meanOverSeeds, type Estimate, type Picture, type ResultRow, type StudyRecord } from "../results/index.ts";
import { armName, chart, plural, tag, type StudyPictures } from "./study-parts.ts";
import { epsilonText, intervalOf, type AttackSummary, type StudySummary } from "./summary.ts";

const shown: Readonly<Record<AttackSummary["shows"], readonly [string, "good" | "bad" | "plain"]>> = {
  success: ["succeeds", "bad"],
  "no success": ["no better than guessing", "plain"],
  nothing: ["cannot be believed: its control held", "plain"],
};

function pictureOf(picture: Picture, { pictures }: StudyPictures): Html {
  const shown = pictures.get(picture.path);
  if (shown === undefined || shown.url === null)
    return html`<p class="quiet">${picture.title}: <code>${picture.path}</code> is not shown here.</p>`;
  return html`<figure>
    <img src="${shown.url}" alt="${picture.title}: ${picture.about}" width="${shown.width}" />
    <figcaption><b>${picture.title}.</b> ${picture.about}</figcaption>
  </figure>`;
}

export function attacks({ arms }: StudySummary, pictures: StudyPictures): Html {
  const run = arms.filter(({ attacks }) => attacks.length > 0);
  const never = arms.filter(({ attacks, arm }) => attacks.length === 0 && arm.state === "done");
  const bounded = arms.filter(({ arm }) => arm.attacker);
  return html`
    ${
      run.length === 0
        ? html`<p>No attack was run. Nothing here says that anything is safe.</p>`
        : htmlTable(
            ["arm", "attack", "success", "guessing", "verdict", "took"],
            run.flatMap((each) =>
              each.attacks.map((attack) => [
                armName(each),
                html`${attack.attack}<br /><span class="quiet"
                    >${attack.about}. Knows: ${attack.knowledge.join("; ")}.</span
                  >`,
                intervalOf(attack.success),
                attack.chance.toFixed(3),
                tag(...shown[attack.shows]),
                `${attack.seconds < 10 ? attack.seconds.toFixed(1) : Math.round(attack.seconds)} s`,
              ]),
            ),
            { label: "Attacks by arm" },
          )
    }
    ${
      bounded.length > 0
        ? html`<h3>What no attacker can exceed</h3>
            <ul>
              ${bounded.map((each) => html`<li>${armName(each)}: ${meaningOf(each.arm.attacker!)}</li>`)}
            </ul>`
        : ""
    }
    ${never.length > 0 ? html`<p>Not attacked: ${never.map(({ mark, arm }) => `${mark} ${arm.name}`).join(", ")}.</p>` : ""}
    ${run.flatMap(({ attacks, mark, arm }) =>
      attacks.flatMap(({ pictures: own, attack }) =>
        own.length === 0
          ? []
          : [
              html`<h3>${mark} ${arm.name}: ${attack}</h3>
                ${own.map((picture) => pictureOf(picture, pictures))}`,
            ],
      ),
    )}
    <p class="quiet">
      A success is a lower bound on what an arm gives away. No success proves nothing about attackers who know more or
      try harder; only a proven epsilon limits those. An attack that cannot break its own control is not counted.
    </p>
  `;
}

export function armPictures({ arms }: StudySummary, pictures: StudyPictures): Html | null {
  // What an attacker drew stands with the attacks.
  const drawn = new Set(
    arms.flatMap(({ attacks }) => attacks.flatMap(({ pictures }) => pictures.map(({ path }) => path))),
  );
  const own = arms
    .map(({ mark, arm }) => ({ mark, arm, shown: arm.pictures.filter(({ path }) => !drawn.has(path)) }))
    .filter(({ shown }) => shown.length > 0);
  if (own.length === 0) return null;
  return html`${own.map(
    ({ mark, arm, shown }) =>
      html`<h3>${mark} ${arm.name}</h3>
        ${shown.map((picture) => pictureOf(picture, pictures))}`,
  )}`;
}

export function histories({ histories: drawn }: StudyPictures): Html | null {
  if (drawn.length === 0) return null;
  return html`
    <div class="pair">${drawn.map(({ drawing }) => chart(drawing))}</div>
    <p class="quiet">The course of a training is private too and stays with the data's owner.</p>
  `;
}

/** What a metric is called in the table, where its own name does not say. */
const metricNames: Readonly<Record<string, string>> = {
  auroc: "AUROC",
  auprc: "AUPRC",
  falsePositiveRate: "false-positive rate",
  selectionRate: "share called positive",
  f1: "F1",
  brier: "Brier score",
  ece: "calibration error",
};

/** Rows of everybody, by metric and arm; what was attacked and what was asked of groups stands elsewhere. */
export function measures(rows: readonly ResultRow[], { arms, split }: StudySummary): Html | null {
  const own = rows.filter((row) => row.group === null && row.attack === null && (row.split === null || row.split === split)); // prettier-ignore
  const byMetric = Map.groupBy(own, ({ target, metric }) => JSON.stringify([target, metricNames[metric] ?? metric]));
  const tables = Map.groupBy(byMetric, ([key]) => (JSON.parse(key) as [string | null])[0]);
  if (tables.size === 0) return null;
  return html`${[...tables].map(
    ([target, metrics]) => html`
      <h3>${target ?? "Of the arms as such"}</h3>
      ${htmlTable(
        ["", ...arms.map(({ mark, arm }) => `${mark} ${arm.name}`)],
        metrics.map(([key, of]) => [
          (JSON.parse(key) as [unknown, string])[1],
          ...arms.map(({ arm }) => {
            const mean = meanOverSeeds(of.filter((row) => row.arm === arm.name));
            return mean === null ? "" : figureOf(mean);
          }),
        ]),
        { label: `Figures by arm${target === null ? "" : ` for ${target}`}` },
      )}
    `,
  )}`;
}

/** Three digits and the interval, where there is one; whole numbers as they are. */
function figureOf({ value, low, high }: Estimate): string {
  const text = (x: number): string =>
    (Math.abs(x) >= 1000
      ? Math.round(x).toLocaleString("en-US")
      : Math.abs(x) < 1 || !Number.isInteger(x)
        ? x.toFixed(3)
        : String(x)
    ).replace("-", "−");
  return low === null || high === null ? text(value) : `${text(value)} [${text(low)}, ${text(high)}]`;
}

export function shortcuts({ shortcuts: found, targets }: StudyRecord): Html {
  return html`
    ${targets.map((target) => {
      const own = found[target];
      if (own === undefined)
        return html`<h3>${target}</h3>
          <p>Not audited for shortcuts, so a high AUROC may rest on how the images were made.</p>`;
      return html`<h3>${target} ${tag(own.verdict, own.verdict === "confounded" ? "bad" : "plain")}</h3>
        <ul>
          ${own.reasons.map((reason) => html`<li>${reason}</li>`)}
        </ul>`;
    })}
  `;
}

export function ledger({ ledger: { rows, budgets } }: StudyRecord): Html {
  if (rows.length === 0) return html`<p>No ledger came with the study: nobody can say from it what was opened.</p>`;
  const accessTag = (access: string): Html =>
    access === "not accounted"
      ? html`<span class="tag missing">NOT ACCOUNTED</span>`
      : html`<span class="tag ${access.replace(" ", "-")}">${access}</span>`;
  const open = rows.filter(({ access }) => access === "not accounted");
  const table = (some: typeof rows): Html =>
    htmlTable(
      ["entry", "access", "what", "epsilon", "in all then"],
      some.map(({ index, access, sentence, epsilon, cumulative }) => [
        String(index),
        accessTag(access),
        sentence,
        epsilon === null ? "" : epsilonText(epsilon),
        cumulative === null ? "" : epsilonText(cumulative.epsilon),
      ]),
      { label: "Entries of the ledger" },
    );
  return html`
    ${budgets
      .filter(({ epsilon }) => epsilon.upper > 0)
      .map(
        ({ cohortFingerprint, unit, delta, epsilon }) =>
          html`<p>
            Cohort <code>${cohortFingerprint.slice(0, 12)}</code>: all that was accounted comes to epsilon
            ${epsilonText(epsilon.upper)} at delta ${delta} for each ${unit}.
          </p>`,
      )}
    ${
      open.length > 0
        ? html`<p><b>${plural(open.length, "access", "accesses")} outside every epsilon:</b></p>
            ${table(open)}`
        : html`<p>Nothing here is NOT ACCOUNTED.</p>`
    }
    <details>
      <summary>All ${plural(rows.length, "entry", "entries")}</summary>
      ${table(rows)}
    </details>
  `;
}

export function limits({ limits: told, cohorts }: StudyRecord, { arms }: StudySummary): Html {
  const phantom = cohorts.filter(({ phantom }) => phantom).map(({ name }) => name);
  return html`
    <ul>
      ${told.map((line) => html`<li>${line}</li>`)}
      ${phantom.length > 0 ? html`<li>${phantom.join(" and ")}: drawn by a program; nobody here ever lived.</li>` : ""}
    </ul>
    ${arms
      .filter(({ arm }) => arm.assumptions.length > 0 || arm.notAccounted.length > 0)
      .map(
        ({ mark, arm }) =>
          html`<h3>${mark} ${arm.name}</h3>
            <ul>
              ${arm.assumptions.map((line) => html`<li>${line}</li>`)}
              ${arm.notAccounted.map((line) => html`<li>${tag("NOT ACCOUNTED", "bad")} ${line}</li>`)}
            </ul>`,
      )}
  `;
}

export function numbers(rows: readonly ResultRow[], { arms }: StudySummary): Html {
  return html`
    <p>
      All ${plural(rows.length, "figure")} of the study stand in <code>results.parquet</code>, a row each, with the file
      that they were computed from and the entry of the ledger that answers for them. Of the AUROCs above:
    </p>
    ${htmlTable(
      ["arm", "target", "AUROC", "by seed", "computed from", "ledger entries"],
      arms.flatMap((each) =>
        Object.entries(each.auroc).map(([target, own]) => [
          armName(each),
          target,
          intervalOf(own),
          own.single.map((value) => value.toFixed(3)).join(", "),
          own.files.map((file) => html`<code>${file}</code> `),
          own.ledgerEntries.map((hash) => html`<code>${hash.slice(0, 12)}</code> `),
        ]),
      ),
      { label: "Origin of the AUROCs" },
    )}
  `;
}

export function again(record: StudyRecord): Html {
  const { name, file, sha256, codeVersion, node, machine, startedAt, seconds, seeds, cohorts } = record;
  const gib = (machine.memoryBytes / 2 ** 30).toFixed(0);
  return html`
    <pre tabindex="0">leadglass study run ${name}.yaml --out ${name}</pre>
    ${htmlTable(
      ["", ""],
      [
        ["Leadglass", `${codeVersion} on Node ${node}`],
        ["machine", `${plural(machine.cores, "core")}, ${gib} GiB, ${machine.platform}`],
        ["begun", `${startedAt.slice(0, 16).replace("T", " ")}; ${Math.round(seconds / 60)} min of work`],
        ["seeds", seeds.join(", ")],
        ...cohorts.map(({ name, fingerprint, about }) => [
          `cohort ${name}`,
          html`${about} <code>${fingerprint}</code>`,
        ]),
        ["study file", html`SHA-256 <code>${sha256}</code>`],
      ],
      { label: "What it was done with" },
    )}
    <details>
      <summary>The study file</summary>
      <pre tabindex="0">${file}</pre>
    </details>
    <p class="quiet">Private noise is drawn afresh each time unless a seed was set, and then it protects nobody.</p>
  `;
}
