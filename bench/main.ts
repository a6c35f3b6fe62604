/**
 * Our training step against PyTorch's, in one interleaved run: `npm run bench -- [--models resnet9,vit,mnist-cnn,dcgan]
 * [--rounds 5] [--threads 2] [--python PATH]`. PyTorch takes part where `--python` (or LEADGLASS_PYTHON) names an
 * interpreter that has it, Opacus where that interpreter can import it. Results go to bench/results/.
 */
import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { parseArgs } from "node:util";

const { values: flags } = parseArgs({
  options: {
    models: { type: "string", default: "resnet9,vit,mnist-cnn" },
    rounds: { type: "string", default: "5" },
    threads: { type: "string", default: "2" },
    python: { type: "string", default: process.env["LEADGLASS_PYTHON"] ?? "python3" },
    pause: { type: "string", default: "0.3" },
  },
});
const rounds = Number(flags.rounds);
const threads = Number(flags.threads);
const here = import.meta.dirname;

interface Contestant {
  readonly name: string;
  readonly command: readonly [string, ...string[]];
  readonly settings: Readonly<Record<string, unknown>>;
}

const batches: Readonly<Record<string, number>> = { resnet9: 32, vit: 32, "mnist-cnn": 256, dcgan: 16 };

function contestants(model: string): Contestant[] {
  const common = { model, batch: batches[model]!, threads };
  if (model === "dcgan") {
    const ours = ["node", join(here, "gan-ours.ts")] as const;
    const torch = [flags.python, join(here, "peers", "gan_steps.py")] as const;
    return [
      { name: "Leadglass private", command: ours, settings: { ...common, mode: "private" } },
      { name: "PyTorch Adam", command: torch, settings: { ...common, mode: "plain" } },
      { name: "Leadglass open", command: ours, settings: { ...common, mode: "plain" } },
      { name: "Opacus", command: torch, settings: { ...common, mode: "opacus" } },
    ];
  }
  const ours = ["node", join(here, "ours.ts")] as const;
  const torch = [flags.python, join(here, "peers", "torch_steps.py")] as const;
  const layouts =
    model === "vit"
      ? []
      : [
          {
            name: "PyTorch SGD, channels last",
            command: torch,
            settings: { ...common, mode: "plain", layout: "channels-last" },
          },
        ];
  return [
    { name: "Leadglass private", command: ours, settings: { ...common, mode: "private" } },
    { name: "PyTorch SGD", command: torch, settings: { ...common, mode: "plain" } },
    ...layouts,
    { name: "Leadglass SGD", command: ours, settings: { ...common, mode: "plain" } },
    { name: "PyTorch per-example by hand", command: torch, settings: { ...common, mode: "per-example" } },
    { name: "Opacus", command: torch, settings: { ...common, mode: "opacus" } },
  ];
}

interface Running {
  readonly name: string;
  readonly child: ChildProcess;
  readonly ask: (request: unknown) => Promise<Record<string, unknown>>;
  readonly seconds: number[];
  readonly cpuSeconds: number[];
}

async function start({ name, command, settings }: Contestant): Promise<Running | string> {
  const [file, ...args] = command;
  const child = spawn(file, args, {
    stdio: ["pipe", "pipe", "ignore"],
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: "1" },
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ask = async (request: unknown): Promise<Record<string, unknown>> => {
    child.stdin.write(`${JSON.stringify(request)}\n`);
    const { value, done } = await lines.next();
    return done ? { error: "the process ended" } : (JSON.parse(value) as Record<string, unknown>);
  };
  child.stdin.on("error", () => undefined);
  const failed = new Promise<Record<string, unknown>>((resolve) =>
    child.on("error", (e) => resolve({ error: e.message })),
  );
  const ready = await Promise.race([ask(settings), failed]);
  if (ready["error"] !== undefined) return `${name}: ${String(ready["error"]).slice(0, 120)}`;
  return { name, child, ask, seconds: [], cpuSeconds: [] };
}

const sleep = (seconds: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
const median = (xs: readonly number[]): number => [...xs].sort((a, b) => a - b)[Math.floor(xs.length / 2)]!;

const machine = {
  processor: cpus()[0]?.model,
  cores: cpus().length,
  memoryGiB: Math.round(totalmem() / 2 ** 30),
  node: process.version,
};
const results: Record<string, unknown> = {
  machine,
  threads,
  rounds,
  date: new Date().toISOString().slice(0, 10),
  commit: commit(),
  models: {},
};

function commit(): string {
  try {
    return execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: here, encoding: "utf8" }).trim();
  } catch {
    return "unknown";
  }
}

for (const model of flags.models.split(",")) {
  const batch = batches[model]!;
  console.log(`\n${model}, batch ${batch}, ${threads} threads`);
  const running: Running[] = [];
  const absent: string[] = [];
  for (const contestant of contestants(model)) {
    const started = await start(contestant);
    if (typeof started === "string") absent.push(started);
    else running.push(started);
  }
  // The first step of each is warm-up; then one step of each in turn, with a pause for spinning threads to rest.
  for (let round = -1; round < rounds; round++)
    for (const contestant of running) {
      await sleep(Number(flags.pause));
      const { seconds, cpuSeconds } = await contestant.ask({ command: "step" });
      if (round < 0) continue;
      contestant.seconds.push(seconds as number);
      contestant.cpuSeconds.push(cpuSeconds as number);
    }
  const ours = running[0]!;
  const rows = [];
  for (const contestant of running) {
    const { peakBytes } = await contestant.ask({ command: "memory" });
    contestant.child.stdin?.end();
    // Pair by pair within a round: a slow minute slows both.
    const ratio = median(contestant.seconds.map((s, i) => s / ours.seconds[i]!));
    rows.push({
      step: contestant.name,
      "samples/s (best)": +(batch / Math.min(...contestant.seconds)).toFixed(1),
      "samples/s (median)": +(batch / median(contestant.seconds)).toFixed(1),
      "CPU s a step": +median(contestant.cpuSeconds).toFixed(3),
      "ours is faster by": +ratio.toFixed(2),
      "peak MiB": Math.round((peakBytes as number) / 2 ** 20),
    });
  }
  console.table(rows);
  absent.forEach((line) => console.log(`absent: ${line}`));
  (results["models"] as Record<string, unknown>)[model] = { batch, rows, absent };
}
const folder = join(here, "results");
mkdirSync(folder, { recursive: true });
const file = join(folder, `${new Date().toISOString().slice(0, 10)}.json`);
writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`);
console.log(`\nwritten to ${file}`);
