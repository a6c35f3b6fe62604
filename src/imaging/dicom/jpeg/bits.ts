/** Bits and Huffman codes of an entropy-coded JPEG segment (ITU-T T.81, annex F). */

/** By the next 16 bits: the length of the code that they begin with, times 256, plus its symbol; 0 where there is none. */
export type HuffmanTable = Uint16Array;

/** A table from the number of codes of each length from 1 to 16 and the symbols in their order; undefined if they overflow. */
export function huffmanTable(counts: Uint8Array, symbols: Uint8Array): HuffmanTable | undefined {
  const table = new Uint16Array(65_536);
  let [at, symbol] = [0, 0];
  for (let length = 1; length <= 16; length++)
    for (let i = 0; i < counts[length - 1]!; i++, symbol++) {
      const span = 1 << (16 - length);
      if (at + span > 65_536) return undefined;
      table.fill((length << 8) | symbols[symbol]!, at, at + span);
      at += span;
    }
  return table;
}

export interface Bits {
  /** The next symbol. */
  decode(table: HuffmanTable): number;
  /** The next `count` bits, at most 16, the first the highest. */
  receive(count: number): number;
  /** Leaves the bits of this segment; passes over the restart marker behind them. */
  restart(): void;
  /** Where the marker behind this segment begins, or the end of the bytes. */
  end(): number;
}

/** Reads bits from `start` on; `fail` throws, where data end early or hold what is no code. */
export function bitsOf(bytes: Uint8Array, start: number, fail: (message: string) => never): Bits {
  // `padding` of the `count` bits in hand are zeros that stand for what lies behind the marker.
  let [at, buffer, count, padding] = [start, 0, 0, 0];
  const fill = () => {
    while (count <= 24) {
      let byte = bytes[at];
      if (byte === 0xff) {
        if (bytes[at + 1] === 0) at += 2;
        else if (bytes[at + 1] === 0xff) {
          at++;
          continue;
        } else byte = undefined;
      } else if (byte !== undefined) at++;
      if (byte === undefined) padding += 8;
      buffer = (buffer << 8) | (byte ?? 0);
      count += 8;
    }
  };
  const take = (bits: number) => {
    count -= bits;
    if (count < padding) fail("entropy-coded data that end early");
  };
  return {
    decode(table) {
      if (count < 16) fill();
      const found = table[(buffer >>> (count - 16)) & 0xffff]!;
      if (found === 0) fail("bits that are no code of their Huffman table");
      take(found >> 8);
      return found & 0xff;
    },
    receive(bits) {
      if (bits === 0) return 0;
      if (count < 16) fill();
      const value = (buffer >>> (count - bits)) & ((1 << bits) - 1);
      take(bits);
      return value;
    },
    restart() {
      [buffer, count, padding] = [0, 0, 0];
      while (at < bytes.length && !(bytes[at] === 0xff && bytes[at + 1] !== 0 && bytes[at + 1] !== 0xff)) at++;
      const marker = bytes[at + 1];
      if (marker === undefined || marker < 0xd0 || marker > 0xd7) fail("no restart marker where one is due");
      at += 2;
    },
    end() {
      while (at < bytes.length && !(bytes[at] === 0xff && bytes[at + 1] !== 0 && bytes[at + 1] !== 0xff)) at++;
      return at;
    },
  };
}

/** The signed number that `bits` bits stand for (T.81, F.2.2.1, EXTEND). */
export const extend = (value: number, bits: number): number =>
  bits > 0 && value < 1 << (bits - 1) ? value - (1 << bits) + 1 : value;
