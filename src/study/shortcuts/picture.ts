/** The occlusion map as a picture. */

const side = 48;

/** SVG: a square a cell, darker where blanking it hurts more, with the fall in percent written in it. */
export function occlusionPicture(grid: readonly (readonly number[])[]): string {
  const most = Math.max(1e-9, ...grid.flat());
  const columns = grid[0]?.length ?? 0;
  const squares = grid.flatMap((row, r) =>
    row.map((fall, c) => {
      const share = Math.max(0, fall) / most;
      const grey = Math.round(255 - 200 * share);
      const text = (100 * fall).toFixed(1);
      return (
        `<rect x="${c * side}" y="${r * side}" width="${side}" height="${side}" fill="rgb(${grey},${grey},${grey})"/>` +
        `<text x="${c * side + side / 2}" y="${r * side + side / 2 + 4}" fill="${share > 0.5 ? "#fff" : "#222"}">${text}</text>`
      );
    }),
  );
  const [width, height] = [columns * side, grid.length * side + 28];
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" font-family="system-ui, sans-serif" font-size="12" text-anchor="middle">`,
    "<title>Fall of the right answer's probability, in percent, when a cell is blanked</title>",
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...squares,
    `<text x="${width / 2}" y="${height - 9}" fill="#222">fall of the right answer, %, with this cell blanked</text>`,
    "</svg>",
    "",
  ].join("\n");
}
