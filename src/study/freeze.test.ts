import { describe, expect, it } from "vitest";
import { evaluate } from "../autodiff/testing.ts";
import { seededRandom } from "../math/random.ts";
import { architectureNamed, initialParameters, joinedLogits } from "../nn/index.ts";
import { freezeParameters, freezesBackbone, frozenNames, withFrozenBackbone } from "./freeze.ts";

const model = architectureNamed("swin-small").build({ rows: 2, channels: 1, imageSize: 32, outputs: 1 });
const backbone = "features.*,norm.*";

describe("a frozen backbone", () => {
  it("isComputedOnce_andGivesTheSameLogits", async () => {
    const values = initialParameters(model, seededRandom("freeze"));
    const frozen = Object.fromEntries(frozenNames(model, backbone).map((name) => [name, values[name]!]));
    const cut = withFrozenBackbone(model, frozen);
    // Pooled features of three stages, 32 x 4 numbers: all that a head of 129 parameters reads.
    expect(cut.features.shape).toEqual([2, 128]);
    expect(cut.parameters.map((p) => p.name)).toEqual(["head.weight", "head.bias"]);
    const whole = freezeParameters(model, frozen);
    using random = seededRandom("pixels");
    const image = Float32Array.from({ length: 2 * 32 * 32 }, () => random.uniform());
    const head = { "head.weight": values["head.weight"]!, "head.bias": values["head.bias"]! };
    const a = await evaluate({ logits: joinedLogits(cut) }, { image, ...head });
    const b = await evaluate({ logits: joinedLogits(whole) }, { image, ...head });
    expect(Array.from(a["logits"]!.data as Float32Array)).toEqual(Array.from(b["logits"]!.data as Float32Array));
    const fixed = await evaluate({ features: cut.fixed }, { image });
    const c = await evaluate({ logits: cut.logits }, { features: fixed["features"]!.data as Float32Array, ...head });
    Array.from(c["logits"]!.data as Float32Array).forEach((v, i) =>
      expect(Number(v)).toBeCloseTo(Number(a["logits"]!.data[i]), 5),
    );
  });

  it("isOneOnlyWhereAllThatIsTrainedComesAfterIt", () => {
    expect(freezesBackbone(model, backbone)).toBe(true);
    expect(freezesBackbone(model, undefined)).toBe(false);
    // The norm before the pooling is trained too: what it sees is the seam then.
    expect(freezesBackbone(model, "features.*")).toBe(true);
    // Attention of the first stage is trained, or only the last block is frozen.
    expect(freezesBackbone(model, "head.*")).toBe(false);
    expect(freezesBackbone(model, "features.5.*")).toBe(false);
  });
});
