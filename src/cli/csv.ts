/** CSV as RFC 4180 has it, in UTF-8 without a byte-order mark. */

interface Column {
  readonly name: string;
  readonly data: readonly (string | number)[];
}

const cell = (value: string | number): string => {
  const text = String(value);
  return /[",\r\n]/.test(text) || text.trim() !== text ? `"${text.replaceAll('"', '""')}"` : text;
};

/** Columns of equal length as the text of a CSV file; a number keeps all its digits. */
export function csvText(columns: readonly Column[]): string {
  const rows = columns[0]?.data.length ?? 0;
  const lines = [columns.map(({ name }) => cell(name))];
  for (let row = 0; row < rows; row++) lines.push(columns.map(({ data }) => cell(data[row]!)));
  return lines.map((cells) => `${cells.join(",")}\r\n`).join("");
}
