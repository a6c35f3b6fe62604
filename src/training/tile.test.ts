import { describe, expect, it } from "vitest";
import { graphOf, input, relu, tanh } from "../graph/index.ts";
import { leastWorkTile } from "./tile.ts";

/** Writes `perUnit` numbers for each unit and `ofTile` for each tile. */
const graphWith = (perUnit: number, ofTile: number) => (units: number) =>
  graphOf("tile", { units: relu(input("x", [units, perUnit])), tile: tanh(input("w", [ofTile])) });

describe("the tile of least work", () => {
  const dear = graphWith(100, 1000);
  it("isTheWholeBatch_whereEveryTileIsDear_andItsSizeIsKnown", () => {
    expect(leastWorkTile(dear, { mean: 16, varies: false }, Infinity)).toBe(16);
    // Two tiles of 16 would write 5,200 numbers for 17 units, one of 32 writes 4,200.
    expect(leastWorkTile(dear, { mean: 17, varies: false }, Infinity)).toBe(32);
  });
  it("leavesLessToPad_whereTheSizeVaries", () => {
    // 4.5 tiles of 600 numbers on average, 2.5 of 1,000 or 1.5 of 1,800.
    expect(leastWorkTile(graphWith(100, 200), { mean: 16, varies: true }, Infinity)).toBe(8);
    expect(leastWorkTile(graphWith(100, 200), { mean: 16, varies: false }, Infinity)).toBe(16);
  });
  it("staysWithinMemory_butForOneUnit", () => {
    expect(leastWorkTile(dear, { mean: 16, varies: false }, 1500)).toBe(4);
    expect(leastWorkTile(dear, { mean: 16, varies: false }, 10)).toBe(1);
  });
  it("isNotLargerForNothing", () => {
    expect(leastWorkTile(graphWith(100, 1), { mean: 64, varies: false }, Infinity)).toBe(1);
  });
});
