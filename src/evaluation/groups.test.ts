import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseGroups } from "./groups.ts";
import { suppressed } from "./suppression.ts";

describe("parseGroups", () => {
  it("readsColumnsBandsAndIntersections_alsoSplitAtCommas", () => {
    const expected = {
      columns: ["sex", "age"],
      bands: { age: [-Infinity, 18, 40, 60, 75, Infinity] },
      by: [["sex"], ["age"], ["sex", "age"]],
    };
    expect(parseGroups(["sex", "age:18,40,60,75", "sex+age:18,40,60,75"])).toEqual(expected);
    expect(parseGroups(["sex", "age:18", "40", "60", "75", "sex+age", "sex"])).toEqual(expected);
  });

  it("aWordThatNamesAColumn_isThatColumn", () => {
    expect(parseGroups(["a+b", "ratio:1", "7"], ["a+b", "ratio:1", "7"])).toEqual({
      ...{ columns: ["a+b", "ratio:1", "7"], bands: {}, by: [["a+b"], ["ratio:1"], ["7"]] },
    });
  });

  it.each([["age:60,40"], ["age:"], ["age:x"], ["age:40,,60"]])("isRefused: %s", (word) => {
    expect(() => parseGroups([word])).toThrow(expect.objectContaining({ code: "LG-EVAL-005" }));
  });

  it("twoSetsOfEdgesForOneColumn_areRefused", () => {
    expect(() => parseGroups(["age:40", "sex+age:60"])).toThrow(expect.objectContaining({ code: "LG-EVAL-005" }));
  });
});

describe("suppressed", () => {
  const one = (n: number, value: string) => ({ column: "ward", value, parts: [value], rows: [], n });
  const run = (counts: number[], minimum = 10) =>
    suppressed(
      counts.map((n, i) => one(n, `${i}`)),
      counts,
      minimum,
    );

  it("aSmallGroupTakesTheNextSmallestWithIt", () => {
    expect(run([40, 3, 12, 90])).toEqual([null, "small", "complement", null]);
    // Three small ones of 9, 8 and 7 patients hide each other: what subtraction shows is 24 patients.
    expect(run([9, 8, 7, 90])).toEqual(["small", "small", "small", null]);
    // Of two of 3 and 4 subtraction would show 7.
    expect(run([3, 4, 15, 90])).toEqual(["small", "small", "complement", null]);
    expect(run([10, 90])).toEqual([null, null]);
  });

  it("noLineOfAnIntersection_canBeSubtractedToASmallGroup", () => {
    const counts = fc.array(fc.array(fc.integer({ min: 0, max: 40 }), { minLength: 3, maxLength: 3 }), {
      ...{ minLength: 3, maxLength: 3 },
    });
    fc.assert(
      fc.property(counts, (table) => {
        const cells = table.flatMap((row, a) =>
          row.map((n, b) => ({ column: "x+y", value: `${a} + ${b}`, parts: [`${a}`, `${b}`], rows: [], n, a, b })),
        );
        const result = suppressed(
          cells,
          cells.map(({ n }) => n),
          10,
        );
        const lines = [0, 1, 2].flatMap((k) => [cells.filter(({ a }) => a === k), cells.filter(({ b }) => b === k)]);
        for (const line of [cells, ...lines]) {
          const hidden = line.filter((cell) => result[cells.indexOf(cell)] !== null);
          const total = hidden.reduce((sum, { n }) => sum + n, 0);
          expect(hidden.length === 0 || hidden.length === line.length || (hidden.length > 1 && total >= 10)).toBe(true);
        }
        cells.forEach(({ n }, i) => expect(result[i] === "small").toBe(n < 10));
      }),
    );
  });
});
