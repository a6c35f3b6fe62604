import { setBudget } from "../../study/budget.ts";
import { command } from "../command.ts";
import { significant, significantUp } from "../output.ts";

export const ledgerBudget = command({
  name: "ledger budget",
  about:
    "Sets the most that everything done with a cohort's patients may cost together. From then on nothing starts that would pass it. A new budget replaces the old one, and the ledger says so.",
  options: {
    cohort: { kind: "text", value: "DIR", about: "the cohort's folder", required: true },
    epsilon: { kind: "number", value: "E", about: "the most for each unit", above: 0, required: true },
    delta: { kind: "number", value: "D", about: "at this delta", above: 0, below: 1, required: true },
    unit: {
      kind: "text",
      about: "whose privacy: everything of a patient, or each image",
      oneOf: ["patient", "image"],
      initial: "patient",
    },
    ledger: {
      kind: "text",
      value: "DIR",
      about: "the folder of ledgers; LEADGLASS_LEDGERS, or the nearest that has this cohort, unless given",
    },
  },
  examples: ["leadglass ledger budget --cohort masses --epsilon 8 --delta 1e-5 --ledger runs/ledgers"],
  async run({ cohort, epsilon, delta, unit, ledger }, terminal) {
    const where = ledger === undefined ? {} : { ledger };
    const { entry, path, spent, fits } = await setBudget({ cohort, epsilon, delta, unit, ...where });
    if (fits === null) terminal.warn(`epsilon ${significantUp(spent)} is spent already: nothing more will start.`);
    const { previous, sentence, index } = entry;
    return {
      json: { ledger: path, index, epsilon, delta, unit, previous, spent, fits },
      text: `${sentence}\nSpent so far: epsilon ${significantUp(spent)} at delta ${significant(delta)}${fits === null ? "" : `; about ${fits} more would fit`}.\nLedger: ${path}, entry ${index}`,
    };
  },
});
