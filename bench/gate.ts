/**
 * What processes that are timed step by step have in common: a training that runs by itself is held back before each step
 * until the driver asks for one, in the protocol of bench/peers/README.md.
 */
import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export const answer = (value: unknown): void => void process.stdout.write(`${JSON.stringify(value)}\n`);
export const peakBytes = (): number => process.resourceUsage().maxRSS * 1024;

/** The driver's next request; undefined where it has gone. */
export async function readLine(): Promise<Record<string, unknown> | undefined> {
  const { value, done } = await lines.next();
  return done ? undefined : (JSON.parse(value) as Record<string, unknown>);
}

export interface Gate {
  /** Every load of a step waits here. */
  readonly pass: () => Promise<void>;
  /** The end of a step closes the gate behind it. */
  readonly stepped: () => void;
  /** Answers the driver until it goes; `ready` is told once the first step waits. */
  readonly serve: (ready: Readonly<Record<string, unknown>>) => Promise<void>;
}

export function closedGate(): Gate {
  let open: () => void = () => undefined;
  let gate = Promise.resolve();
  let waiting = false;
  let stepDone: (() => void) | undefined;
  const close = (): void => {
    gate = new Promise((resolve) => (open = resolve));
    waiting = false;
  };
  close();
  const atTheGate = async (): Promise<void> => {
    while (!waiting) await new Promise((resolve) => setTimeout(resolve, 1));
  };
  return {
    pass: () => {
      waiting = true;
      return gate;
    },
    stepped: () => {
      close();
      stepDone?.();
    },
    serve: async (ready) => {
      await atTheGate();
      answer({ ready: true, ...ready, readyBytes: peakBytes(), versions: { node: process.version } });
      for (;;) {
        const request = await readLine();
        if (!request || request["command"] === "quit") return;
        if (request["command"] === "memory") answer({ peakBytes: peakBytes() });
        else if (request["command"] === "step") {
          const done = new Promise<void>((resolve) => (stepDone = resolve));
          await atTheGate();
          const started = performance.now();
          const cpu = process.cpuUsage();
          open();
          await done;
          const used = process.cpuUsage(cpu);
          answer({ seconds: (performance.now() - started) / 1000, cpuSeconds: (used.user + used.system) / 1e6 });
        } else answer({ error: `unknown command ${String(request["command"])}` });
      }
    },
  };
}
