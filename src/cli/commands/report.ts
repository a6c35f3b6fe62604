import { writeReport } from "../../study/report/write-report.ts";
import { command } from "../command.ts";
import { fileSize, styled } from "../output.ts";

export const report = command({
  name: "report",
  about:
    "Draws a study's folder as one page: the question and the answer in plain words, utility against privacy, fairness, attacks, every access to the patients, limits, and how to do it again. The page loads nothing from anywhere; the same stands in report.json for machines.",
  positionals: ["DIR"],
  options: {},
  notes: "The page holds figures and pictures without noise: it stays with the data's owner.",
  examples: ["leadglass report compared", "leadglass report compared --json"],
  async run(_options, terminal, [folder]) {
    const written = await writeReport(folder!);
    for (const { path, reason } of written.leftOut) terminal.warn(`${path} is not shown: ${reason}`);
    const { headline, parts } = written.answer;
    return {
      json: written,
      text: [
        "",
        ...headline.map((sentence) => styled("bold", sentence, process.stdout)),
        ...parts.flatMap(({ title, sentences }) => ["", title, ...sentences.map((sentence) => `  ${sentence}`)]),
        "",
        `The report, ${fileSize(written.bytes)}: ${styled("bold", written.report, process.stdout)}`,
      ].join("\n"),
    };
  },
});
