import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { LeadglassError } from "../../errors.ts";
import { openCohort } from "../../cohort/index.ts";
import { ledgerOfCohort } from "../../study/cohort-ledger.ts";
import { keepVerdict } from "../../study/shortcuts/record.ts";
import { occlusionPicture } from "../../study/shortcuts/picture.ts";
import { auditShortcuts, type ShortcutReport } from "../../study/shortcuts/audit.ts";
import type { Region } from "../../study/shortcuts/region.ts";
import { command } from "../command.ts";
import { count, interval, styled, table } from "../output.ts";
import type { Progress } from "../progress.ts";

export const cohortShortcuts = command({
  name: "cohort shortcuts",
  about:
    "How far a target can be predicted without seeing the disease: from metadata, from how files were made, and from the image without the region where the disease is. Each on patients not fitted on.",
  positionals: ["DIR"],
  options: {
    target: { kind: "text", value: "COLUMN", about: "the target, or COLUMN=VALUE", required: true },
    region: {
      kind: "text",
      value: "X,Y,W,H",
      about: "where the disease is expected, as shares of the image; otherwise the middle, 0.15,0.15,0.7,0.7",
    },
    run: { kind: "text", value: "RUN", about: "also audit this run, with an occlusion map" },
    ledger: {
      kind: "text",
      value: "DIR",
      about:
        "the folder of ledgers, where the verdict is kept to stand beside every later AUROC; found as train finds it",
    },
    out: { kind: "text", value: "DIR", about: "write the report as JSON, and the occlusion map as a picture" },
  },
  notes: "Reads labels of every split and accounts nothing: for the data owner only.",
  examples: [
    "leadglass cohort shortcuts chest --target pneumonia",
    "leadglass cohort shortcuts chest --target pneumonia --region 0.1,0.15,0.8,0.6 --run runs/private --out audit",
  ],
  async run({ target, region, run, ledger, out }, terminal, [dir]) {
    using bars = new DisposableStack();
    let [stage, bar] = ["", undefined as Progress | undefined];
    const report = await auditShortcuts({
      cohort: dir!,
      target,
      ...(region === undefined ? {} : { region: regionOf(region) }),
      ...(run === undefined ? {} : { run }),
      onProgress: (name, done, total) => {
        if (name !== stage) {
          bar?.[Symbol.dispose]();
          [stage, bar] = [name, bars.use(terminal.progress(name, "images"))];
        }
        bar!.update(done, total);
      },
    });
    bar?.[Symbol.dispose]();
    const { fingerprint } = await openCohort(dir!);
    const place = await ledgerOfCohort(fingerprint, { from: ".", ...(ledger === undefined ? {} : { ledger }) });
    await keepVerdict(place, fingerprint, report).catch((error: NodeJS.ErrnoException) => {
      if (!["EACCES", "EPERM", "EROFS"].includes(error.code ?? "")) throw error;
      terminal.warn(`${place}: the verdict cannot be kept there (${error.code}).`);
    });
    if (out !== undefined) {
      await mkdir(out, { recursive: true });
      await writeFile(join(out, "shortcuts.json"), `${JSON.stringify(report, null, 2)}\n`);
      if (report.occlusion) await writeFile(join(out, "occlusion.svg"), occlusionPicture(report.occlusion));
    }
    return { json: report, text: textOf(report) };
  },
});

function regionOf(text: string): Region {
  const [x, y, width, height, ...more] = text.split(",").map(Number);
  if (height === undefined || more.length > 0)
    throw new LeadglassError("LG-USAGE-001", "--region: four numbers x,y,width,height were expected", {
      hint: "For example 0.15,0.15,0.7,0.7 for the middle of the image.",
    });
  return { x: x!, y: y!, width: width!, height };
}

function textOf({ target, images, patients, shortcuts, verdict, reasons, occlusion }: ShortcutReport): string {
  const colour = verdict === "confounded" ? "red" : verdict === "no shortcut found" ? "green" : "yellow";
  return [
    `${target}: ${count(images)} images of ${count(patients)} patients`,
    "",
    table([
      ["what predicts", "", "AUROC [95 % interval]"],
      ...shortcuts.map(({ name, kind, auroc, low, high }) => [name, kind, interval({ value: auroc, low, high })]),
    ]),
    "",
    styled(colour, verdict.toUpperCase(), process.stdout),
    ...reasons.map((reason) => `  ${reason}`),
    ...(occlusion
      ? [
          "",
          "Fall of the right answer's probability, in %, when a cell is blanked:",
          ...occlusion.map((row) => row.map((fall) => (100 * fall).toFixed(1).padStart(6)).join("")),
        ]
      : []),
  ].join("\n");
}
