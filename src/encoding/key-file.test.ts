import { chmod, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { countPublished, publishedWith, readKey, writeKey } from "./key-file.ts";
import { makeKey, rotatedKey, weakKey } from "./keys.ts";

describe("key files", () => {
  let dir: string;
  beforeAll(async () => {
    dir = await mkdtemp(join(tmpdir(), "leadglass-key-"));
  });
  afterAll(() => rm(dir, { recursive: true }));

  it("writtenKey_isReadBack_andIsItsOwnersAlone", async () => {
    const [path, key] = [join(dir, "a.key"), rotatedKey(makeKey(), "2026-01-02")];
    await writeKey(path, key);
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await readKey(path)).toEqual(key);
    await expect(writeKey(path, key)).rejects.toMatchObject({ code: "LG-USAGE-003" });
    await chmod(path, 0o644);
    await expect(readKey(path)).rejects.toMatchObject({ code: "LG-ENCODE-002", exitCode: 4 });
  });

  it("weakKeys_areNeitherWrittenNorRead", async () => {
    const path = join(dir, "weak.key");
    await expect(writeKey(path, weakKey(5))).rejects.toMatchObject({ code: "LG-ENCODE-002" });
    await writeKey(path, makeKey());
    const text = await readFile(path, "utf8");
    const { id, secret } = JSON.parse(text) as { id: string; secret: string };
    const weak = weakKey(5);
    await writeFile(path, text.replace(id, weak.id).replace(secret, Buffer.from(weak.secret).toString("hex")));
    await expect(readKey(path)).rejects.toMatchObject({ code: "LG-ENCODE-002" });
  });

  it("damagedKey_isRefused_withoutItsSecretInTheMessage", async () => {
    const path = join(dir, "b.key");
    await writeKey(path, makeKey());
    const text = await readFile(path, "utf8");
    const { secret } = JSON.parse(text) as { secret: string };
    for (const damaged of [text.slice(0, -10), text.replace(secret, `${secret.slice(1)}0`), "{}"]) {
      await writeFile(path, damaged);
      const error = await readKey(path).catch((e: unknown) => e as Error);
      expect(error).toMatchObject({ code: "LG-ENCODE-001" });
      expect(JSON.stringify(error)).not.toContain(secret.slice(0, 8));
      expect((error as Error).message).not.toContain(secret.slice(0, 8));
    }
  });

  it("published_addsUp_onceForEachRelease", async () => {
    const [path, key] = [join(dir, "c.key"), makeKey()];
    await writeKey(path, key);
    expect((await publishedWith(path, key)).images).toBe(0);
    await countPublished(path, key, { release: "one", images: 5, at: "" });
    await countPublished(path, key, { release: "two", images: 7, at: "" });
    expect((await countPublished(path, key, { release: "one", images: 5, at: "" })).images).toBe(12);
    await expect(publishedWith(path, makeKey())).rejects.toMatchObject({ code: "LG-ENCODE-001" });
  });
});
