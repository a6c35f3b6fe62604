import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { schemes } from "../schemes/scheme.ts";
import { balancedSuccess } from "./attack.ts";
import { runAttack } from "./run.ts";
import { staged } from "./stage.fixture.ts";
import { attacks } from "./table.ts";

it("imitation_ofLinear_needsPairsAlone", { timeout: 60_000 }, async () => {
  const { view, truth } = await staged(schemes.linear);
  const { success, imitations } = await runAttack("imitation", view, { truth, control: false });
  expect(imitations!.images).toBe(12);
  expect(success!.value).toBeGreaterThan(0.6);
});

it("attributeAndMembership_areInferred", { timeout: 60_000 }, async () => {
  const { view, truth } = await staged(schemes.neuracrypt);
  for (const name of ["attribute", "membership"]) {
    const { success, chance } = await runAttack(name, view, { truth, control: false });
    expect(chance).toBe(0.5);
    expect(success!.low, name).toBeGreaterThan(0.5);
  }
});

it("anotherHospitalsKey_saysNothingOfThisOne_andTheBreachedOneAll", { timeout: 60_000 }, async () => {
  const { view, truth } = await staged(schemes.neuracrypt, { known: 0 });
  const { success, control, valid } = await runAttack("other-key", view, { truth });
  // At most 5 of 48 by luck: P(Poisson(1) > 5) = 6e-4.
  expect(success!.value).toBeLessThan(6 / 48);
  expect(control!.scheme).toBe("neuracrypt");
  expect(control!.success.value).toBeGreaterThan(0.3);
  expect(valid).toBe(true);
});

it("cancelledTraining_goesOnWhereItStopped_andEndsAsIfItHadNot", { timeout: 120_000 }, async () => {
  const dir = await mkdtemp(join(tmpdir(), "leadglass-attack-"));
  try {
    const { view, truth } = await staged(schemes.linear, { known: 0, images: 24 });
    const whole = await runAttack("mmd-encoder", view, { truth, control: false });
    // The published baseline: above 99 % on the linear scheme (challenge README).
    expect(whole.success!.value).toBeGreaterThan(0.9);
    expect(whole.stages!.map(({ name }) => name)).toEqual(["each on its own", "one to one"]);
    const checkpoint = join(dir, "mmd-encoder.checkpoint");
    const stop = new AbortController();
    await expect(
      runAttack("mmd-encoder", view, {
        ...{ truth, control: false },
        limits: { checkpoint, signal: stop.signal },
        onProgress: (done) => void (done === 700 && stop.abort()),
      }),
    ).rejects.toMatchObject({ code: "LG-RUNTIME-004" });
    expect(await readdir(dir)).toEqual(["mmd-encoder.checkpoint"]);
    let first: number | undefined;
    const resumed = await runAttack("mmd-encoder", view, {
      ...{ truth, control: false, limits: { checkpoint } },
      onProgress: (done) => void (first ??= done),
    });
    expect(first).toBe(701);
    expect(resumed.details).toEqual(whole.details);
    expect([...resumed.candidates!]).toEqual([...whole.candidates!]);
    expect(await readdir(dir)).toEqual([]);
  } finally {
    await rm(dir, { recursive: true });
  }
});

it("budget_endsATraining", async () => {
  const { view, truth } = await staged(schemes.linear, { known: 0, images: 24 });
  const { details } = await runAttack("mmd-encoder", view, { truth, control: false, limits: { seconds: 0.2 } });
  expect(details["steps"]).toBeLessThan(1500);
});

it("everyAttack_statesItsKnowledge", () => {
  for (const [name, { knowledge, about }] of Object.entries(attacks)) {
    expect(knowledge[0], name).toBe("the encodings");
    expect(about.length, name).toBeGreaterThan(20);
  }
});

it("balancedSuccess_isHalfForScoresThatSayNothing_andOneForTheTruth", () => {
  const labels = Array.from({ length: 40 }, (_, i) => (i % 5 === 0 ? 1 : i % 7 === 0 ? Number.NaN : 0));
  expect(balancedSuccess(labels, labels, 1).success.value).toBe(1);
  // 8 of 40 are yes: 8 of either are asked. All the same score: ties are settled by place, alternately.
  expect(
    balancedSuccess(
      labels.map(() => 0),
      labels,
      1,
    ).success.value,
  ).toBeLessThan(1);
});
