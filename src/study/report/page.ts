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

/**
 * A table; cells of the first column are row headings. On a phone each row becomes a block whose cells carry the names of
 * their columns; the roles say that it is a table all the same. A column headed by markup has no name there.
 */
export const htmlTable = (
  heading: readonly Part[],
  rows: readonly (readonly Part[])[],
  { label = "table" }: { readonly label?: string } = {},
): Html => {
  const name = (i: number): string => (typeof heading[i] === "string" ? heading[i] : "");
  return html`<div class="wide" tabindex="0" role="group" aria-label="${label}">
    <table role="table">
      ${
        heading.some((cell) => cell !== "")
          ? html`<thead role="rowgroup">
              <tr role="row">
                ${heading.map((cell) => (cell === "" ? html`<td role="cell"></td>` : html`<th scope="col" role="columnheader">${cell}</th>`))}
              </tr>
            </thead>`
          : ""
      }
      <tbody role="rowgroup">
        ${rows.map(
          ([first, ...cells]) =>
            html`<tr role="row">
              <th scope="row" role="rowheader">${first ?? ""}</th>
              ${cells.map((cell, i) => html`<td role="cell" data-label="${name(i + 1)}">${cell}</td>`)}
            </tr> `,
        )}
      </tbody>
    </table>
  </div>`;
};

const style = `
:root {
  color-scheme: light dark;
  --ink: #1b2430; --quiet: #56616e; --rule: #d9dfe6; --ground: #f4f6f8; --card: #fff; --accent: #1d5f8a; --open: #b25a12;
  --good-ground: #e1f1e6; --good: #14552c; --plain-ground: #e6eef6; --plain: #1b4a72; --bad-ground: #fbe8d5; --bad: #7f3f03;
  --chart-ground: #fff; --chart-text: #1a1a1a; --chart-quiet: #5d5d5d; --chart-grid: #e3e3e3; --chart-rule: #9a9a9a;
  --chart-look-1: #0072b2; --chart-look-2: #d55e00; --chart-look-3: #009e73; --chart-look-4: #cc79a7; --chart-look-5: #000; --chart-look-6: #e69f00;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ink: #e6ebf0; --quiet: #a9b4c0; --rule: #35404c; --ground: #12171d; --card: #1b222a; --accent: #7fbfe8; --open: #eda36a;
    --good-ground: #173a25; --good: #a5e3bb; --plain-ground: #1b3247; --plain: #b5d8f5; --bad-ground: #47290d; --bad: #ffc996;
    --chart-ground: #1b222a; --chart-text: #e6ebf0; --chart-quiet: #a9b4c0; --chart-grid: #333d48; --chart-rule: #6d7884;
    --chart-look-1: #56b4e9; --chart-look-2: #ff8b3d; --chart-look-3: #35c996; --chart-look-4: #e79fc6; --chart-look-5: #f2f2f2; --chart-look-6: #f0c04a;
  }
}
* { box-sizing: border-box; }
html { scroll-behavior: smooth; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--ink); font: 16px/1.55 system-ui, "Segoe UI", Helvetica, Arial, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .5rem; letter-spacing: -.01em; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 0 0 .75rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .25rem; }
p { margin: 0 0 .9rem; max-width: 44rem; }
section > p:last-child { margin: .9rem 0 0; }
section { background: var(--card); border: 1px solid var(--rule); border-radius: 10px; padding: 1.5rem; margin-top: 1.25rem; }
a { color: var(--accent); }
.lead { font-size: 1.1rem; color: var(--quiet); }
.quiet { color: var(--quiet); font-size: .9rem; }
.wide { overflow-x: auto; margin: 0 0 .9rem; }
td:last-child, th:last-child { padding-right: 0; }
table { border-collapse: collapse; width: 100%; font-size: .95rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .45rem .9rem .45rem 0; border-bottom: 1px solid var(--rule); vertical-align: top; }
thead th { color: var(--quiet); font-weight: 600; }
tbody th { font-weight: 600; min-width: 7rem; }
tbody tr:last-child > * { border-bottom: 0; }
figure { margin: 0 0 1rem; }
figure:last-child { margin-bottom: 0; }
figure img, figure svg { max-width: 100%; height: auto; display: block; }
figure svg { background: var(--chart-ground); }
figcaption { color: var(--quiet); font-size: .9rem; margin-top: .35rem; }
.bar { height: .8rem; margin-top: .35rem; min-width: 3px; border-radius: 3px; background: var(--accent); }
td:has(.bar) { width: 55%; }
.bar.open { background: var(--open); }
code, pre { font-family: ui-monospace, "SF Mono", Consolas, "Liberation Mono", monospace; font-size: .88rem; overflow-wrap: anywhere; }
pre { background: var(--ground); border-radius: 6px; padding: .8rem 1rem; overflow-x: auto; margin: 0 0 .9rem; overflow-wrap: normal; }
.tag { display: inline-block; border-radius: 99px; padding: 0 .6rem; font-size: .8rem; line-height: 1.5rem; white-space: nowrap; }
.accounted, .good { background: var(--good-ground); color: var(--good); }
.public, .owner-only, .plain { background: var(--plain-ground); color: var(--plain); }
.missing, .bad { background: var(--bad-ground); color: var(--bad); }
.headline { font-size: 1.2rem; line-height: 1.4; font-weight: 600; max-width: 50rem; margin-bottom: .6rem; }
.headline + :not(.headline) { margin-top: 1.2rem; }
ul { margin: 0 0 .9rem; padding-left: 1.2rem; max-width: 46rem; }
li { margin: 0 0 .4rem; }
.pair h3 { margin-top: .2rem; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 21rem), 1fr)); gap: 1.25rem; align-items: start; }
.mark { display: inline-block; min-width: 1.6rem; font-weight: 700; }
.narrow { display: none; }
details > summary { cursor: pointer; color: var(--accent); margin: 0 0 .6rem; }
nav { margin-top: 1.25rem; font-size: .95rem; line-height: 2; }
nav a { margin-right: 1rem; white-space: nowrap; }
footer { color: var(--quiet); font-size: .9rem; margin-top: 1.5rem; }
@media screen and (max-width: 40rem) {
  main { padding: 1.25rem .75rem 2.5rem; }
  h1 { font-size: 1.5rem; }
  section { padding: 1rem .9rem; }
  .narrow { display: block; }
  .broad { display: none; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  table, tbody, tr, tbody th, td { display: block; }
  tr { padding: .55rem 0; border-bottom: 1px solid var(--rule); }
  tbody tr:last-child { border-bottom: 0; }
  tbody th, td { border: 0; padding: .1rem 0; }
  td:empty { display: none; }
  td[data-label]:not([data-label=""]) { display: grid; grid-template-columns: 8.5rem 1fr; gap: .6rem; }
  td[data-label]:not([data-label=""])::before { content: attr(data-label); color: var(--quiet); }
  td:has(.bar) { width: 100%; }
  td > .tag { justify-self: start; white-space: normal; border-radius: .75rem; }
  td ul { padding-left: 0; list-style: none; }
}
@media print {
  .pair { grid-template-columns: 1fr 1fr; }
  body { background: #fff; font-size: 10.5pt; }
  main { max-width: none; padding: 0; }
  section { border: 0; border-radius: 0; padding: 0; margin-top: 1.4rem; }
  nav { display: none; }
  h2, h3 { break-after: avoid; }
  figure, tr, li { break-inside: avoid; }
  .wide { overflow: visible; }
  table { font-size: 8pt; }
  th, td { padding-left: .2rem; padding-right: .2rem; overflow-wrap: anywhere; }
  details > summary { display: none; }
  details::details-content { content-visibility: visible; display: block; height: auto; }
  * { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
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
