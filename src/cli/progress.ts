/** Progress on standard error: a bar on a terminal, a line every few seconds elsewhere. */
import { SingleBar } from "cli-progress";
import { LeadglassError } from "../errors.ts";
import { duration, significant } from "./output.ts";

export interface Progress extends Disposable {
  /** Throws LG-INTERRUPTED-001 once the work is to stop, unless the work itself looks after that. */
  readonly update: (done: number, total: number, remark?: string) => void;
}

/** Where there is no terminal: the first line after this long, and then as often, in milliseconds. */
const quietTime = 2000;
const lineTime = 5000;

/**
 * Shows how far a piece of work is, with its rate and the time left.
 * `signal`, where given, ends the work at its next step.
 */
export function startProgress(
  label: string,
  { unit, signal, stream = process.stderr }: { unit: string; signal?: AbortSignal; stream?: NodeJS.WriteStream },
): Progress {
  // Rates count from the first call: what came before it was preparation, or an earlier run.
  let first: { readonly done: number; readonly at: number } | undefined;
  let written = performance.now() + quietTime - lineTime;
  let bar: SingleBar | undefined;
  const describe = (done: number, total: number) => {
    const rate = (1000 * (done - first!.done)) / (performance.now() - first!.at);
    if (!(rate > 0)) return { rate: "", left: "" };
    return {
      rate: `, ${significant(Number(rate.toPrecision(2)))} ${unit}/s`,
      left: `, ${duration((total - done) / rate)} left`,
    };
  };
  return {
    update(done, total, remark = "") {
      const note = remark && `, ${remark}`;
      if (signal?.aborted)
        throw new LeadglassError("LG-INTERRUPTED-001", `${label}: stopped at ${done} of ${total} ${unit}`, {
          hint: "Nothing was written. Run the same command again.",
        });
      first ??= { done, at: performance.now() };
      const { rate, left } = describe(done, total);
      if (stream.isTTY) {
        if (!bar) {
          bar = new SingleBar({
            stream,
            format: `${label} {bar} {value}/{total} ${unit}{rate}{left}{note}`,
            barCompleteChar: "█",
            barIncompleteChar: "░",
            barsize: 24,
            hideCursor: true,
            clearOnComplete: true,
            gracefulExit: false,
            fps: 5,
          });
          bar.start(total, done, { rate, left, note });
        } else bar.update(done, { rate, left, note });
      } else if (performance.now() - written >= lineTime) {
        written = performance.now();
        stream.write(`${label}: ${done} of ${total} ${unit}${rate}${left}${note}\n`);
      }
    },
    [Symbol.dispose]: () => bar?.stop(),
  };
}
