import { expect, it } from "vitest";
import { schemes } from "../schemes/scheme.ts";
import { runAttack } from "./run.ts";
import { staged } from "./stage.fixture.ts";

// 24 pairs give away the other 24: chance is 1 in 24, and 13 or more right by luck have probability below 1e-11.
it("plaintext_learnsTheKeyFromPairs", async () => {
  const { view, truth } = await staged(schemes.neuracrypt);
  const { success, chance } = await runAttack("plaintext", view, { truth, control: false });
  expect(chance).toBe(1 / 24);
  expect(success!.value).toBeGreaterThan(0.5);
});

// The published break at a small part of its scale: it climbs, and need not arrive.
it("contrastive_beatsChance", async () => {
  const { view, truth } = await staged(schemes.neuracrypt, { known: 0 });
  const { stages } = await runAttack("contrastive", view, { truth, control: false });
  // Chance is 1 in 48: 4 or more right by luck have probability 0.02 at one stage.
  expect(Math.max(...stages!.map(({ success }) => success.value))).toBeGreaterThan(3.5 / 48);
});
