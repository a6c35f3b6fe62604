import { sizeOf, topologicalNodes, type Graph } from "../graph/index.ts";
import type { Feeds, Program } from "../runtime/index.ts";

/** Numbers that the tiles of all engines may write together: memory stays below a GiB for ResNet9 and a ViT at 224 pixels. */
const mostFloats = 600e6;
/** Where overheads no longer matter: more only costs cache. */
const plentyOfFloats = 40e6;
/** The least that keeps matrix products busy, memory allowing. */
const leastUnits = 4;

/** All numbers that a graph's nodes write. */
export const intermediateFloats = (graph: Graph): number =>
  topologicalNodes(graph.outputs.map((o) => o.value)).reduce(
    (total, node) => total + node.outputs.reduce((n, y) => n + sizeOf(y.shape), 0),
    0,
  );

/** Numbers written by a tile of some units: a part for each unit and a part for each tile. */
function costOf(graphFor: (units: number) => Graph) {
  const [one, two] = [intermediateFloats(graphFor(1)), intermediateFloats(graphFor(2))];
  const perUnit = Math.max(1, two - one);
  const ofTile = Math.max(0, one - perUnit);
  return { perUnit, ofTile, of: (units: number): number => ofTile + units * perUnit };
}

/** Numbers written for each unit: how much work a unit is. */
export function floatsOfUnit(graphFor: (units: number) => Graph): number {
  return costOf(graphFor).perUnit;
}

/** The power of two of units whose tile is expected to run best; from sizes alone, so the same on every machine. */
export function estimateTileUnits(graphFor: (units: number) => Graph, mostUnits: number, engines: number): number {
  const cost = costOf(graphFor);
  let units = 1;
  while (units < mostUnits && units < 512) {
    const doubled = cost.of(2 * units);
    // What every tile writes, however few its units, should be little beside what the units write.
    const plenty = units >= leastUnits && units * cost.perUnit >= 2 * cost.ofTile;
    if (doubled > mostFloats / engines || (plenty && doubled > plentyOfFloats)) break;
    units *= 2;
  }
  return units;
}

/** How many units a step has; `varies` where their number is drawn anew in each. */
export interface StepSize {
  readonly mean: number;
  readonly varies: boolean;
}

/** A larger tile must save so much work to be worth its memory. */
const worthwhile = 0.95;

/**
 * The power of two of units with which a step writes fewest numbers, what pads its last tile counted; none whose tile writes
 * more than `mostNumbers`. From sizes alone, so the same on every machine.
 */
export function leastWorkTile(
  graphFor: (units: number) => Graph,
  { mean, varies }: StepSize,
  mostNumbers: number,
): number {
  let best = { units: 1, written: Infinity };
  for (let units = 1; units < 2 * mean; units *= 2) {
    const ofTile = intermediateFloats(graphFor(units));
    if (units > 1 && ofTile > mostNumbers) break;
    const tiles = varies ? Math.max(1, mean / units + 0.5) : Math.ceil(mean / units);
    if (tiles * ofTile < worthwhile * best.written) best = { units, written: tiles * ofTile };
  }
  return best.units;
}

/**
 * Tries tiles around the estimate and returns the one with most units a second. A larger tile must be 3 % faster to be
 * worth its memory, and a smaller one 5 % to be more than noise.
 */
export async function measureTileUnits({
  graphFor,
  load,
  feedsFor,
  mostUnits,
  engines,
}: {
  readonly graphFor: (units: number) => Graph;
  readonly load: (units: number) => Promise<Program>;
  readonly feedsFor: (units: number) => Feeds;
  readonly mostUnits: number;
  /** Engines that run tiles at the same time, and share the memory. */
  readonly engines: number;
}): Promise<number> {
  const estimate = estimateTileUnits(graphFor, mostUnits, engines);
  const cost = costOf(graphFor);
  // One program at a time: two would hold the memory of both.
  const secondsOfUnit = async (units: number): Promise<number> => {
    await using program = await load(units);
    await program.run(feedsFor(units));
    let best = Infinity;
    for (let i = 0; i < 3; i++) {
      const start = performance.now();
      await program.run(feedsFor(units));
      best = Math.min(best, (performance.now() - start) / 1000 / units);
    }
    return best;
  };
  const fits = (units: number): boolean =>
    units >= 1 && (units <= mostUnits || units <= estimate) && cost.of(units) <= mostFloats / engines;
  let best = { units: estimate, seconds: await secondsOfUnit(estimate) };
  for (const direction of [0.5, 2]) {
    for (let units = estimate * direction; fits(units); units *= direction) {
      const seconds = await secondsOfUnit(units);
      if (seconds >= best.seconds * (direction > 1 ? 0.97 : 0.95)) break;
      best = { units, seconds };
    }
    if (best.units !== estimate) break;
  }
  return best.units;
}
