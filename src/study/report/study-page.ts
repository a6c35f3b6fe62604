/** The page of a study: the question, the answer, and everything that stands behind it. */
import { html, htmlTable, page, raw, type Html } from "./page.ts";
import { cell, groupCell } from "./study-charts.ts";
import {
  again,
  armPictures,
  attacks,
  histories,
  ledger,
  limits,
  measures,
  numbers,
  shortcuts,
} from "./study-evidence.ts";
import { armName, chart, plural, tag, type StudyPictures } from "./study-parts.ts";
import type { ArmRecord, Decision, ResultRow, StudyRecord } from "../results/index.ts";
import { epsilonText, intervalOf, kindNames, type ArmSummary, type StudySummary } from "./summary.ts";

const states: Readonly<Record<ArmRecord["state"], string>> = { done: "done", failed: "failed", waiting: "not run yet" };

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
