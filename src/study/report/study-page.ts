/** The page of a study: the question, the answer, and everything that stands behind it. */
import { html, htmlTable, page, raw, type Html } from "./page.ts";
import { meaningOf } from "../meaning.ts";
import { cell, groupCell, type Drawing } from "./study-charts.ts";
import {
  meanOverSeeds,
  type ArmRecord,
  type Decision,
  type Picture,
  type ResultRow,
  type StudyRecord,
  type Estimate,
} from "../results/index.ts";
import {
  epsilonText,
  intervalOf,
  kindNames,
  type ArmSummary,
  type AttackSummary,
  type StudySummary,
} from "./summary.ts";

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

const states: Readonly<Record<ArmRecord["state"], string>> = { done: "done", failed: "failed", waiting: "not run yet" };

const tag = (text: string, kind: "good" | "bad" | "plain"): Html => html`<span class="tag ${kind}">${text}</span>`;

const plural = (n: number, one: string, many = `${one}s`): string => `${n.toLocaleString("en-US")} ${n === 1 ? one : many}`; // prettier-ignore

const chart = ({ wide, narrow }: Drawing): Html =>
  wide === narrow
    ? html`<figure>${raw(wide)}</figure>`
    : html`<figure><div class="broad">${raw(wide)}</div><div class="narrow">${raw(narrow)}</div></figure>`; // prettier-ignore

const armName = ({ mark, arm }: Pick<ArmSummary, "mark" | "arm">): Html =>
  html`<span class="mark">${mark}</span> ${arm.name}`;

/** The whole report as one HTML document. */
export function studyPage(
  record: StudyRecord,
  rows: readonly ResultRow[],
  summary: StudySummary,
  pictures: StudyPictures,
): string {
  const question = record.question ?? "Which way should we share, what does it cost, and how do we know?";
  const sections: readonly (readonly [string, string, Html | null])[] = [
    ["answer", "The answer", answer(record, summary, pictures)],
    ["arms", "The arms beside one another", armsSection(record, summary, pictures)],
    ["decision", "What was asked for, and who meets it", decisionSection(record.decision, summary)],
    ["fairness", "Whether it serves everybody alike", fairness(record, summary, pictures)],
    ["attacks", "What attackers got", attacks(summary, pictures)],
    ["pictures", "What left the hospital, in pictures", armPictures(summary, pictures)],
    ["training", "How the trainings went", histories(pictures)],
    ["measures", "Everything else that was measured", measures(rows, summary)],
    ["shortcuts", "Whether the cohort can be believed", shortcuts(record)],
    ["ledger", "Every access to the patients", ledger(record)],
    ["limits", "What is assumed, and what this does not show", limits(record, summary)],
    ["numbers", "Where the numbers come from", numbers(rows, summary)],
    ["again", "How to do it again", again(record)],
  ];
  const shown = sections.filter(([, , body]) => body !== null);
  const [first, ...rest] = shown;
  return page(
    `Leadglass: ${record.name}`,
    html`
      <header>
        <p class="quiet">${record.name}</p>
        <h1>${question}</h1>
        <p class="lead">${subject(record, summary)}</p>
      </header>
      ${sectionOf(first!)}
      <nav aria-label="Contents">${rest.map(([id, title]) => html`<a href="#${id}">${title}</a> `)}</nav>
      ${rest.map(sectionOf)}
      <footer>
        Leadglass ${record.codeVersion}. This page loads nothing from anywhere. It holds figures and pictures of the
        study's patients that carry no noise: it stays with their data's owner.
      </footer>
    `,
  );
}

const sectionOf = ([id, title, body]: readonly [string, string, Html | null]): Html => html`
  <section id="${id}" ${id === "answer" ? raw('class="answer"') : ""} aria-labelledby="${id}-title">
    <h2 id="${id}-title">${title}</h2>
    ${body!}
  </section>
`;

function subject({ cohorts, targets, seeds, arms }: StudyRecord, { cohort, split }: StudySummary): string {
  const about = cohorts.map(
    ({ name, images, patients, phantom }) =>
      `${name} (${plural(images, "image")} of ${plural(patients, phantom ? "drawn patient" : "patient")})`,
  );
  return (
    `${plural(arms.length, "way", "ways")} of sharing ${about.join(" and ")}, each tried with ${plural(seeds.length, "seed")}, to learn ${targets.join(", ")}.` +
    (split === null ? "" : ` Figures are of the ${split} patients${cohorts.length > 1 ? ` of ${cohort}` : ""}, none of whom was trained on.`) // prettier-ignore
  );
}

function answer(record: StudyRecord, { answer: { headline, parts } }: StudySummary, drawings: StudyPictures): Html {
  return html`
    ${headline.map((sentence) => html`<p class="headline">${sentence}</p>`)}
    ${record.targets.slice(0, 1).map((target) => tradeOff(record, target, drawings))}
    <div class="pair">
      ${parts.map(
        ({ title, sentences }) =>
          html`<div>
            <h3>${title}</h3>
            <ul>
              ${sentences.map((sentence) => html`<li>${sentence}</li>`)}
            </ul>
          </div>`,
      )}
    </div>
    <p class="quiet">
      Brackets are 95 % intervals over resampled patients; over several seeds, from the lowest end to the highest. Where
      two overlap, these patients cannot tell the arms apart; that does not make the arms alike.
    </p>
  `;
}

function tradeOff(record: StudyRecord, target: string, { tradeOffs }: StudyPictures): Html {
  const drawings = tradeOffs[target] ?? [];
  return html`
    ${
      drawings.length > 0
        ? html`<div class="pair">${drawings.map(chart)}</div>`
        : html`<p>${target}: no arm has an AUROC here. With too few positives or negatives there is none.</p>`
    }
    <p class="quiet">Shortcut audit of ${target}: ${verdictBeside(record, target)}.</p>
  `;
}

function verdictBeside(record: StudyRecord, target: string): Html {
  const verdict = record.shortcuts[target]?.verdict;
  return verdict === "confounded"
    ? tag("CONFOUNDED COHORT", "bad")
    : html`<span class="quiet">${verdict ?? "not audited for shortcuts"}</span>`;
}

function promise({ epsilon, delta, unit, notAccounted, state }: ArmRecord): Html {
  if (state !== "done") return html``;
  if (epsilon === null) return tag("no proof", "bad");
  return html`epsilon ${epsilonText(epsilon)} at delta ${delta ?? "?"} for each
  ${unit ?? "unit"}${notAccounted.length > 0 ? html` ${tag("and NOT ACCOUNTED accesses", "bad")}` : ""}`;
}

function worstOf({ arm, worst, attacks }: ArmSummary): Html | string {
  if (worst !== null) return html`${worst.attack}: ${intervalOf(worst.success)} (guessing ${worst.chance.toFixed(2)})`;
  if (arm.state !== "done") return "";
  return attacks.length > 0 ? "no attack here can be believed" : "not attacked";
}

function armsSection(record: StudyRecord, summary: StudySummary, pictures: StudyPictures): Html {
  const { arms } = summary;
  const { utility } = pictures;
  return html`
    ${record.targets.slice(1).map(
      (target) =>
        html`<h3>${target}</h3>
          ${tradeOff(record, target, pictures)}`,
    )}
    ${htmlTable(
      ["arm", "kind", ...record.targets.map((target) => `AUROC ${target}`), "promise", "best attack"],
      arms.map((each) => [
        armName(each),
        each.arm.state === "done"
          ? kindNames[each.arm.kind]
          : html`${kindNames[each.arm.kind]} ${tag(states[each.arm.state], "bad")}`,
        ...record.targets.map((target) =>
          each.arm.state === "done"
            ? html`${cell(each.auroc[target])}${(each.auroc[target]?.value ?? null) === null || record.shortcuts[target]?.verdict !== "confounded" ? "" : html` ${tag("confounded", "bad")}`}` // prettier-ignore
            : "",
        ),
        promise(each.arm),
        worstOf(each),
      ]),
      { label: "Arms with utility, promise and best attack" },
    )}
    ${
      arms.some(({ arm }) => arm.error !== undefined)
        ? html`<h3>What failed</h3>
            ${arms.map(({ mark, arm: { name, error } }) =>
              error === undefined
                ? ""
                : html`<p>
                    <span class="mark">${mark}</span> ${name}: <code>${error.code}</code> ${error.message}.
                    ${error.hint ?? ""}
                  </p>`,
            )}`
        : ""
    }
    <details>
      <summary>What each arm is</summary>
      <ul>
        ${arms.map((each) => html`<li>${armName(each)}: ${each.arm.about}</li>`)}
      </ul>
    </details>
    ${utility === null ? "" : chart(utility)}
  `;
}

const answers = {
  yes: ["meets it", "good"],
  no: ["does not", "bad"],
  "cannot tell": ["cannot tell", "plain"],
} as const;

function decisionSection(decision: Decision | undefined, { arms }: StudySummary): Html | null {
  if (decision === undefined) return null;
  return html`
    <ul>
      ${decision.constraints.map((constraint) => html`<li>${constraint}</li>`)}
    </ul>
    ${htmlTable(
      ["arm", "qualifies", "why"],
      arms.flatMap((each) => {
        const own = decision.arms.find(({ arm }) => arm === each.arm.name);
        if (own === undefined) return [];
        return [
          [
            armName(each),
            tag(own.qualifies, answers[own.qualifies][1]),
            html`<ul>
              ${own.reasons.map(
                ({ constraint, meets, evidence }) =>
                  html`<li>${tag(answers[meets][0], answers[meets][1])} ${constraint}: ${evidence}</li>`,
              )}
            </ul>`,
          ],
        ];
      }),
      { label: "Decision by arm" },
    )}
    <p class="quiet">
      An arm qualifies where the whole interval lies on the right side, fails where the whole interval lies on the wrong
      one, and is left open otherwise. Where an attack succeeded nothing is recommended.
    </p>
  `;
}

function fairness(record: StudyRecord, { arms, groups }: StudySummary, drawings: StudyPictures): Html | null {
  if (record.groups.length === 0)
    return html`<p>The study names no groups, so nobody can say from it whether some patients are served worse.</p>`;
  return html`
    ${record.targets.map((target) => {
      const own = groups[target] ?? [];
      const measured = arms.filter(({ arm }) => own.some(({ auroc }) => auroc[arm.name] !== undefined));
      const missing = record.groups
        .map((group) => group.split(":")[0]!)
        .filter((column) => !own.some((group) => group.column === column));
      return html`<h3>${target}</h3>
        ${missing.length > 0 ? html`<p>Asked for and not here, since no group has patients in these figures: ${missing.join(", ")}.</p>` : ""}
        ${(drawings.groups[target] ?? []).map(chart)}
        ${
          own.length === 0
            ? ""
            : htmlTable(
                ["group", "patients", ...measured.map(({ mark, arm }) => `${mark} ${arm.name}`)],
                own.map(({ column, value, auroc }) => {
                  const some = Object.values(auroc);
                  const patients = some.find(({ patients }) => patients !== null)?.patients ?? null;
                  return [
                    `${column}: ${value}`,
                    patients === null ? "suppressed" : String(patients),
                    ...measured.map(({ arm }) => groupCell(auroc[arm.name])),
                  ];
                }),
                { label: `AUROC for ${target} by group and arm` },
              )
        }`;
    })}
    <p class="quiet">
      AUROC within each group. Where a group has no interval, its few patients say nothing about fairness either way,
      and its value is not shown. Small groups are suppressed where figures are made for release.
    </p>
  `;
}

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

function attacks({ arms }: StudySummary, pictures: StudyPictures): Html {
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

function armPictures({ arms }: StudySummary, pictures: StudyPictures): Html | null {
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

function histories({ histories: drawn }: StudyPictures): Html | null {
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
function measures(rows: readonly ResultRow[], { arms, split }: StudySummary): Html | null {
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

function shortcuts({ shortcuts: found, targets }: StudyRecord): Html {
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

function ledger({ ledger: { rows, budgets } }: StudyRecord): Html {
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

function limits({ limits: told, cohorts }: StudyRecord, { arms }: StudySummary): Html {
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

function numbers(rows: readonly ResultRow[], { arms }: StudySummary): Html {
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

function again(record: StudyRecord): Html {
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
