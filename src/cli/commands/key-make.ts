import { fingerprintOf, makeKey, rotatedKey } from "../../encoding/keys.ts";
import { publishedWith, readKey, writeKey } from "../../encoding/key-file.ts";
import { command } from "../command.ts";
import { count } from "../output.ts";

export const keyMake = command({
  name: "key make",
  about:
    "Makes a key from the system's generator, in a new file that only you can read. Whoever has it can undo every encoding made with it: it never goes where releases go.",
  options: {
    out: { kind: "text", value: "FILE", about: "the file to write; it must not exist", required: true },
    rotate: { kind: "text", value: "FILE", about: "the key that this one takes over from" },
  },
  examples: ["leadglass key make --out hospital.key", "leadglass key make --out next.key --rotate hospital.key"],
  async run({ out, rotate }) {
    const created = new Date().toISOString().slice(0, 10);
    const made = rotate === undefined ? makeKey(undefined, { created }) : rotatedKey(await readKey(rotate), created);
    await writeKey(out, made);
    const fingerprint = fingerprintOf(made);
    return {
      json: { out, id: made.id, fingerprint, replaces: made.replaces },
      text: `${out}: key ${made.id}\nfingerprint ${fingerprint}\nKeep a copy where only you can reach it; nothing can be read back without it.`,
    };
  },
});

export const keyShow = command({
  name: "key show",
  about: "Shows the fingerprint of a key and what was published with it; never the secret.",
  positionals: ["FILE"],
  options: {},
  examples: ["leadglass key show hospital.key"],
  async run(_, __, [path]) {
    const found = await readKey(path!);
    const fingerprint = fingerprintOf(found);
    const published = await publishedWith(path!, found);
    const { id, created, subset, replaces } = found;
    return {
      json: { id, fingerprint, created, subset, replaces, published },
      text: [
        `key ${id}, made ${created || "on a day nobody wrote down"}${replaces ? `, after key ${replaces}` : ""}`,
        `fingerprint ${fingerprint}`,
        `${count(published.images)} images in ${count(published.releases.length)} releases`,
      ].join("\n"),
    };
  },
});
