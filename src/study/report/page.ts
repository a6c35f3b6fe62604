/** A self-contained HTML page: nothing is loaded from anywhere, and every text is escaped. */

/** Markup that is safe to insert as it is. */
export class Html {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Part = string | number | Html | readonly Part[];

const escapes: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

const textOf = (part: Part): string =>
  part instanceof Html
    ? part.text
    : typeof part === "object"
      ? part.map(textOf).join("")
      : String(part).replace(/[&<>"']/g, (character) => escapes[character]!);

/** Markup with values in it; what is not markup itself is escaped. */
export const html = (literals: TemplateStringsArray, ...parts: readonly Part[]): Html =>
  new Html(literals.map((literal, i) => (i === 0 ? "" : textOf(parts[i - 1]!)) + literal).join(""));

/** Text that is markup already, such as a chart we drew. */
export const raw = (text: string): Html => new Html(text);

export const pngUrl = (bytes: Uint8Array): string => `data:image/png;base64,${Buffer.from(bytes).toString("base64")}`;

/** A table; cells of the first column are row headings. */
export const htmlTable = (heading: readonly Part[], rows: readonly (readonly Part[])[]): Html =>
  html`<div class="wide">
    <table>
      <thead>
        <tr>
          ${heading.map((cell) => html`<th scope="col">${cell}</th>`)}
        </tr>
      </thead>
      <tbody>
        ${rows.map(
          ([first, ...cells]) =>
            html`<tr>
              <th scope="row">${first ?? ""}</th>
              ${cells.map((cell) => html`<td>${cell}</td>`)}
            </tr> `,
        )}
      </tbody>
    </table>
  </div>`;

const style = `
:root { color-scheme: light; --ink: #1b2430; --quiet: #5b6673; --rule: #d9dfe6; --ground: #f4f6f8; --accent: #1d5f8a; }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .5rem; letter-spacing: -.01em; }
h2 { font-size: 1.25rem; margin: 0 0 .75rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .25rem; }
p { margin: 0 0 .9rem; max-width: 44rem; }
section > p:last-child { margin: .9rem 0 0; }
section { background: #fff; border: 1px solid var(--rule); border-radius: 10px; padding: 1.5rem; margin-top: 1.25rem; }
.lead { font-size: 1.1rem; color: var(--quiet); }
.quiet { color: var(--quiet); font-size: .9rem; }
.wide { overflow-x: auto; }
td:last-child, th:last-child { padding-right: 0; }
table { border-collapse: collapse; width: 100%; font-size: .95rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .45rem .9rem .45rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
thead th { color: var(--quiet); font-weight: 600; }
tbody th { font-weight: 600; white-space: nowrap; }
tbody tr:last-child > * { border-bottom: 0; }
figure { margin: 0 0 1rem; }
figure:last-child { margin-bottom: 0; }
figure img, figure svg { max-width: 100%; height: auto; display: block; }
figcaption { color: var(--quiet); font-size: .9rem; margin-top: .35rem; }
.bar { height: .8rem; margin-top: .35rem; min-width: 3px; border-radius: 3px; background: var(--accent); }
td:has(.bar) { width: 55%; }
.bar.open { background: #c96a1b; }
code, pre { font-family: ui-monospace, "SF Mono", Consolas, "Liberation Mono", monospace; font-size: .88rem; }
pre { background: var(--ground); border-radius: 6px; padding: .8rem 1rem; overflow-x: auto; margin: 0 0 .9rem; }
.tag { display: inline-block; border-radius: 99px; padding: 0 .6rem; font-size: .8rem; line-height: 1.5rem; white-space: nowrap; }
.accounted { background: #e1f1e6; color: #185c31; }
.public { background: #e6eef6; color: #1d4f7a; }
.missing { background: #fbe8d5; color: #8a4406; }
@media print { body { background: #fff; } section { break-inside: avoid; border: 0; padding: 0; } }
`;

/** The whole document. */
export const page = (title: string, body: Html): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${textOf(title)}</title>
<style>${style}</style>
</head>
<body>
<main>
${body.text}
</main>
</body>
</html>
`;
