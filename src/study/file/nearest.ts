/** How many letters have to be changed, put in or left out (Levenshtein 1965). */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++)
      next.push(Math.min(row[j]! + 1, next[j - 1]! + 1, row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)));
    row = next;
  }
  return row[b.length]!;
}

/** The known name that is most like a word; undefined where none is like it. */
export function nearestName(word: string, known: readonly string[]): string | undefined {
  const scored = known.map((name) => ({ name, d: distance(word.toLowerCase(), name.toLowerCase()) }));
  const best = scored.sort((a, b) => a.d - b.d)[0];
  return best && best.d <= Math.max(2, Math.floor(Math.max(word.length, best.name.length) / 2)) ? best.name : undefined;
}
