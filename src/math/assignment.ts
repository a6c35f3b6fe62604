import { LeadglassError } from "../errors.ts";

/**
 * The assignment of rows to different columns with the least total cost: `costs` is [rows, columns] row-major with
 * rows <= columns; the answer holds each row's column.
 * Throws LG-BUG-001 for more rows than columns or a cost that is not finite.
 * Source: shortest augmenting paths, Jonker and Volgenant, Computing 38, 1987; O(rows^2 columns).
 */
export function assign(costs: ArrayLike<number>, rows: number, columns: number): Int32Array {
  if (rows > columns || costs.length !== rows * columns)
    throw new LeadglassError(
      "LG-BUG-001",
      `assign: ${costs.length} costs for ${rows} rows and ${columns} columns; expected rows <= columns and all costs`,
    );
  for (let i = 0; i < costs.length; i++)
    if (!Number.isFinite(costs[i])) throw new LeadglassError("LG-BUG-001", `assign: cost ${i} is not finite`);
  // Row and column 0 are sentinels.
  const rowPrice = new Float64Array(rows + 1);
  const columnPrice = new Float64Array(columns + 1);
  const rowOf = new Int32Array(columns + 1);
  const cameFrom = new Int32Array(columns + 1);
  const least = new Float64Array(columns + 1);
  const visited = new Uint8Array(columns + 1);
  for (let row = 1; row <= rows; row++) {
    rowOf[0] = row;
    let column = 0;
    least.fill(Infinity);
    visited.fill(0);
    do {
      visited[column] = 1;
      const from = rowOf[column]!;
      const [at, price] = [(from - 1) * columns - 1, rowPrice[from]!];
      let [step, next] = [Infinity, 0];
      for (let j = 1; j <= columns; j++) {
        if (visited[j]) continue;
        const reduced = costs[at + j]! - price - columnPrice[j]!;
        if (reduced < least[j]!) {
          least[j] = reduced;
          cameFrom[j] = column;
        }
        if (least[j]! < step) {
          step = least[j]!;
          next = j;
        }
      }
      for (let j = 0; j <= columns; j++)
        if (visited[j]) {
          rowPrice[rowOf[j]!]! += step;
          columnPrice[j]! -= step;
        } else least[j]! -= step;
      column = next;
    } while (rowOf[column] !== 0);
    for (; column !== 0; column = cameFrom[column]!) rowOf[column] = rowOf[cameFrom[column]!]!;
  }
  const answer = new Int32Array(rows);
  for (let j = 1; j <= columns; j++) if (rowOf[j]! > 0) answer[rowOf[j]! - 1] = j - 1;
  return answer;
}

/** The assignment with the greatest total score; arguments and errors as {@link assign}. */
export const assignBest = (scores: ArrayLike<number>, rows: number, columns: number): Int32Array =>
  assign(
    Float64Array.from(scores, (x) => -x),
    rows,
    columns,
  );
