/** Ctrl-C and SIGTERM: the first asks the work to stop, the second ends the process at once. */

let controller: AbortController | undefined;

/** Aborted by the first SIGINT or SIGTERM; the process then has until the second to put its things away. */
export function stopSignal(): AbortSignal {
  if (controller) return controller.signal;
  const own = (controller = new AbortController());
  const stop = (): void => {
    if (own.signal.aborted) {
      // A progress bar hides the cursor and stops lines from wrapping.
      if (process.stderr.isTTY) process.stderr.write("\u001b[?25h\u001b[?7h\n");
      process.exit(5);
    }
    process.stderr.write("\nstopping; once more to stop at once\n");
    own.abort();
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
  return own.signal;
}
