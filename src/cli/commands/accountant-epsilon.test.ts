import { runCommand } from "citty";
import { afterEach, expect, it, vi } from "vitest";
import { accountantBatch, accountantSteps } from "./accountant-epsilon.ts";

afterEach(() => vi.restoreAllMocks());

async function json(command: typeof accountantSteps, ...words: string[]): Promise<Record<string, number>> {
  let text = "";
  vi.spyOn(process.stdout, "write").mockImplementation((part) => ((text += String(part)), true));
  await runCommand(command, { rawArgs: [...words, "--json"] });
  return JSON.parse(text) as Record<string, number>;
}

// dp_accounting 0.6.0, PLDAccountant with a grid of 1e-4 (accounting vectors, id 86): epsilon 1.89523 at delta 6e-6 for
// q = 0.01, sigma = 1, T = 1000. So that many steps, and batches of 100 of 10,000, are the most within a little more; the
// hundred-and-first unit costs about 1 % more, as does the thousand-and-twentieth step.
const words = ["--epsilon", "1.896", "--delta", "6e-6", "--noise-multiplier", "1"];

it("steps_areThoseThatTheEpsilonPays", async () => {
  const { steps } = await json(accountantSteps, ...words, "--sampling-probability", "0.01");
  expect(steps).toBeGreaterThanOrEqual(1000);
  expect(steps).toBeLessThan(1003);
});

it("batch_isTheOneThatTheEpsilonPays", async () => {
  const answer = await json(accountantBatch, ...words, "--units", "10000", "--steps", "1000");
  expect(answer).toMatchObject({ batch: 100, samplingProbability: 0.01 });
});
