import { fileURLToPath } from "node:url";
import { format, resolveConfig } from "prettier";

/** Paragraphs as a page of Markdown, in the form that `npm run lint` asks for. */
export async function formatted(paragraphs: readonly string[]): Promise<string> {
  const config = await resolveConfig(fileURLToPath(new URL("../../package.json", import.meta.url)));
  return format(`${paragraphs.join("\n\n")}\n`, { ...config, parser: "markdown" });
}
