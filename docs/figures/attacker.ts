/** Draws attacker.svg, the picture in docs/privacy.md: `node docs/figures/attacker.ts`. */
import { writeFile } from "node:fs/promises";
import { dot, text } from "@observablehq/plot";
import { fontSize, ink, renderSvg, smallFontSize } from "../../src/evaluation/chart-style.ts";
import { planPrivateTraining, privacyProfile, eventOf, tradeOff } from "../../src/privacy/index.ts";

/** The share of members that can at most be caught at 1 % false alarms, under the demo's plan with this epsilon. */
function caught(epsilon: number): number {
  const plan = planPrivateTraining({
    target: { epsilon, delta: 1e-4 },
    sampling: { kind: "poisson", probability: 1 },
    clipping: { kind: "flat", norm: 1 },
    steps: 100,
  });
  return 1 - tradeOff(privacyProfile([eventOf(plan, plan.steps)], plan.relation))(0.01);
}

/** A hundred patients a panel, as many dark as can be caught, rounded up. */
export function drawAttacker(): string {
  const panels = [
    { title: "Guessing", note: "without any model", share: 0.01 },
    { title: "Epsilon 1", note: "private model", share: caught(1) },
    { title: "Epsilon 8", note: "private model", share: caught(8) },
    { title: "No privacy", note: "nothing limits it", share: 1 },
  ].map((panel) => ({ ...panel, count: Math.ceil(100 * panel.share - 1e-9) }));
  const [step, gap, left, top] = [15, 34, 16, 92];
  const side = 10 * step;
  const width = 2 * left + panels.length * side + (panels.length - 1) * gap;
  const height = top + side + 52;
  const start = (panel: number): number => left + panel * (side + gap);
  const patients = panels.flatMap(({ count }, panel) =>
    Array.from({ length: 100 }, (_, i) => ({
      x: start(panel) + (i % 10) * step + step / 2,
      y: top + Math.floor(i / 10) * step + step / 2,
      caught: i < count,
    })),
  );
  const write = (content: string, x: number, y: number, options: object): ReturnType<typeof text> =>
    text([content], { x, y, textAnchor: "start", fill: ink.text, fontSize, ...options });
  return renderSvg("Of 100 patients in the training, how many an attacker can pick out at most", {
    width,
    height,
    margin: 0,
    x: { domain: [0, width], range: [0, width], axis: null },
    y: { domain: [0, height], range: [0, height], axis: null },
    marks: [
      write("Of 100 patients who were in the training, how many can an attacker pick out at most?", left, 18, {
        fontSize: fontSize + 1,
        fontWeight: "bold",
      }),
      write(
        "He holds the model, knows everybody else's data, and wrongly accuses 1 in 100 of those who were not in it.",
        left,
        38,
        { fontSize: smallFontSize, fill: ink.quiet },
      ),
      ...panels.flatMap(({ title, note, count }, panel) => [
        write(title, start(panel), top - 26, { fontWeight: "bold" }),
        write(note, start(panel), top - 9, { fontSize: smallFontSize, fill: ink.quiet }),
        write(count === 100 ? "up to 100" : `at most ${count}`, start(panel), top + side + 20, { fontSize: 16 }),
      ]),
      dot(patients, {
        ...{ x: "x", y: "y", r: 5, stroke: ink.rule, strokeWidth: 1 },
        fill: (d: (typeof patients)[number]) => (d.caught ? ink.text : "#ffffff"),
      }),
      write("● picked out   ○ not picked out", left, height - 8, { fontSize: smallFontSize, fill: ink.quiet }),
    ],
  });
}

if (import.meta.main) await writeFile(new URL("attacker.svg", import.meta.url), drawAttacker());
