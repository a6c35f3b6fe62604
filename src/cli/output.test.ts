import { parse } from "csv-parse/sync";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { csvText } from "./csv.ts";
import { duration, fileSize, interval, significant, significantUp, table } from "./output.ts";

describe("csvText", () => {
  it("anyText_isReadBackByAnotherParser", () => {
    const column = (name: string, length: number) =>
      fc.array(fc.string({ unit: "binary" }), { minLength: length, maxLength: length }).map((data) => ({ name, data }));
    fc.assert(
      fc.property(
        fc.nat({ max: 5 }).chain((n) => fc.tuple(column("a", n), column('b "c", d', n))),
        (columns) => {
          const rows = parse(csvText(columns), { relax_column_count: false }) as string[][];
          expect(rows).toEqual([
            columns.map((c) => c.name),
            ...columns[0].data.map((_, i) => columns.map((c) => c.data[i])),
          ]);
        },
      ),
    );
  });

  it("numbersKeepAllTheirDigits", () => {
    expect(csvText([{ name: "x", data: [0.1 + 0.2, 1e-12] }])).toBe("x\r\n0.30000000000000004\r\n1e-12\r\n");
  });
});

describe("table", () => {
  it("columnsAreAligned_numbersToTheRight", () => {
    expect(
      table([
        ["split", "images"],
        ["train", "1,234"],
        ["val", "7"],
      ]),
    ).toBe(["split  images", "train   1,234", "val         7"].join("\n"));
  });
});

describe("numbers for people", () => {
  it("significantUp_isNeverBelowAndWithinFiveDigits", () => {
    fc.assert(
      fc.property(fc.double({ min: 1e-6, max: 1e6, noNaN: true }), (x) => {
        const shown = Number(significantUp(x));
        expect(shown).toBeGreaterThanOrEqual(x * (1 - 1e-9));
        expect(shown).toBeLessThanOrEqual(x * (1 + 1.1e-4));
      }),
    );
  });

  it.each([
    [0, "0 ms"],
    [0.034, "34 ms"],
    [4.56, "4.6 s"],
    [59.4, "59 s"],
    [200, "3 min 20 s"],
    [3599.9, "1 h 0 min"],
    [7500, "2 h 5 min"],
  ])("duration of %d s is %s", (seconds, text) => {
    expect(duration(seconds)).toBe(text);
  });

  it.each([
    [1e-4, "1e-4"],
    [8, "8"],
    [0.12345, "0.1235"],
    [1234567, "1.23e+6"],
  ])("significant(%d) is %s", (value, text) => {
    expect(significant(value)).toBe(text);
  });

  it("aMetricThatDoesNotExist_showsItsReason", () => {
    expect(interval({ value: null, low: null, high: null, reason: "only negatives" })).toBe("only negatives");
    expect(interval({ value: 0.5, low: 0.25, high: 1 })).toBe("0.500 [0.250, 1.000]");
  });

  it("fileSizes_areInTheUnitThatFits", () => {
    expect([fileSize(10), fileSize(2048), fileSize(3 * 2 ** 20)]).toEqual(["1 KiB", "2 KiB", "3 MiB"]);
  });
});
