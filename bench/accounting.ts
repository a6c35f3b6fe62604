/**
 * How long an epsilon by privacy loss distributions takes, and a calibration, over the cases of the shared vectors, in one
 * interleaved run with dp_accounting: `npm run bench:accounting -- [--vectors FILE] [--rounds 3] [--python PATH]`.
 * dp_accounting takes part where `--python` (or LEADGLASS_PYTHON) names an interpreter that can import it.
 */
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";
import { accountantNamed, calibrateNoise } from "../src/privacy/index.ts";

const { values: flags } = parseArgs({
  options: {
    vectors: { type: "string", default: join(import.meta.dirname, "../../shared/vectors/accounting.json") },
    rounds: { type: "string", default: "3" },
    python: { type: "string", default: process.env["LEADGLASS_PYTHON"] ?? "python3" },
  },
});
const rounds = Number(flags.rounds);

interface Case {
  readonly what: "epsilon" | "calibration";
  readonly q: number;
  readonly steps: number;
  readonly delta: number;
  readonly sigma: number;
  readonly epsilon: number;
}

const records = JSON.parse(readFileSync(flags.vectors, "utf8")) as Readonly<Record<string, unknown>>[];
const cases: Case[] = records.flatMap((record) => {
  const plain = record["mechanism"] === "poisson_subsampled_gaussian" && record["accountant"] === "PLD";
  if (!plain || record["neighbour_relation"] !== "add_or_remove_one") return [];
  return [
    {
      what: record["kind"] === "calibration" ? ("calibration" as const) : ("epsilon" as const),
      q: record["sampling_probability"] as number,
      steps: record["steps"] as number,
      delta: record["delta"] as number,
      sigma: (record["noise_multiplier"] as number) / (record["microbatching"] === true ? 2 : 1),
      epsilon: record["epsilon_target"] as number,
    },
  ];
});

const pld = accountantNamed("pld");

function ours({ what, q, steps, delta, sigma, epsilon }: Case): { value: number; seconds: number } {
  const started = performance.now();
  const value =
    what === "epsilon"
      ? pld.epsilon([{ kind: "poisson-gaussian", samplingProbability: q, noiseMultiplier: sigma, steps }], delta).upper
      : calibrateNoise({ target: { epsilon, delta }, samplingProbability: q, steps, accountant: pld });
  return { value, seconds: (performance.now() - started) / 1000 };
}

const child = spawn(flags.python, [join(import.meta.dirname, "peers", "accounting.py")], {
  stdio: ["pipe", "pipe", "inherit"],
  env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
});
const failed = new Promise<null>((resolve) => child.on("error", () => resolve(null)));
child.stdin.on("error", () => undefined);
const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
async function theirs(asked: Case): Promise<{ value: number; seconds: number } | null> {
  child.stdin.write(`${JSON.stringify(asked)}\n`);
  const answer = await Promise.race([lines.next(), failed]);
  return answer === null || answer.done ? null : (JSON.parse(answer.value) as { value: number; seconds: number });
}

/** Per case, the median over rounds. */
const taken: { readonly asked: Case; readonly ours: number[]; readonly theirs: number[]; difference: number | null }[] =
  cases.map((asked) => ({ asked, ours: [], theirs: [], difference: null }));
ours(cases[0]!);
let present = (await theirs(cases[0]!)) !== null;
for (let round = 0; round < rounds; round++)
  for (const [i, one] of taken.entries()) {
    process.stderr.write(`\rround ${round + 1} of ${rounds}, case ${i + 1} of ${cases.length} `);
    const mine = ours(one.asked);
    one.ours.push(mine.seconds);
    const peer = present ? await theirs(one.asked) : null;
    if (peer === null) {
      present = false;
      continue;
    }
    one.theirs.push(peer.seconds);
    one.difference = mine.value / peer.value - 1;
  }
process.stderr.write("\n");
child.stdin.end();

const median = (xs: readonly number[]): number => [...xs].sort((a, b) => a - b)[Math.floor(xs.length / 2)]!;
const seconds = (xs: readonly number[]): string =>
  xs.length === 0 ? "absent" : xs.map((x) => x.toFixed(3)).join(" / ");
console.log(`${cpus()[0]?.model}, ${cpus().length} cores, Node ${process.version}; ${rounds} rounds`);
console.table(
  (["epsilon", "calibration"] as const).map((what) => {
    const own = taken.filter(({ asked }) => asked.what === what);
    const mine = own.map((one) => median(one.ours));
    const peer = own.flatMap((one) => (one.theirs.length > 0 ? [median(one.theirs)] : []));
    const differences = own.flatMap(({ difference }) => (difference === null ? [] : [difference]));
    return {
      what,
      cases: own.length,
      "ours, median / worst s": seconds([median(mine), Math.max(...mine)]),
      "dp_accounting, median / worst s": seconds(peer.length > 0 ? [median(peer), Math.max(...peer)] : []),
      "ours over theirs, relative":
        differences.length > 0
          ? `${Math.min(...differences).toExponential(1)} to ${Math.max(...differences).toExponential(1)}`
          : "",
    };
  }),
);
if (!present) console.log(`absent: ${flags.python} cannot import dp_accounting`);
