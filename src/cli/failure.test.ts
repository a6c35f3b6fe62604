import { afterEach, describe, expect, it, vi } from "vitest";
import { LeadglassError } from "../errors.ts";
import { reportFailure } from "./failure.ts";

afterEach(() => vi.restoreAllMocks());

function reported(error: unknown, json: boolean) {
  const written = { stdout: "", stderr: "" };
  vi.spyOn(process.stdout, "write").mockImplementation((text) => ((written.stdout += String(text)), true));
  vi.spyOn(process.stderr, "write").mockImplementation((text) => ((written.stderr += String(text)), true));
  return { exit: reportFailure(error, { json }), ...written };
}

describe("reportFailure", () => {
  it.each([
    ["LG-USAGE-001", 2],
    ["LG-COHORT-009", 3],
    ["LG-PRIVACY-002", 4],
    ["LG-INTERRUPTED-001", 5],
    ["LG-BUG-001", 70],
  ] as const)("%s_exitsWith_%d_andIsOneJsonDocument", (code, exit) => {
    const error = new LeadglassError(code, "where: what", { hint: "do this" });
    const result = reported(error, true);
    expect(result.exit).toBe(exit);
    expect(result.stderr).toBe("");
    expect(JSON.parse(result.stdout)).toEqual({ error: { code, message: "where: what", hint: "do this" } });
  });

  it("anErrorThatIsNotOurs_isABugInOneLineWithoutAStack", () => {
    const { exit, stdout } = reported(new TypeError(`x is undefined\n${"at somewhere\n".repeat(50)}`), true);
    const { error } = JSON.parse(stdout) as { error: { code: string; message: string; hint: string } };
    expect(exit).toBe(70);
    expect(error.code).toBe("LG-BUG-001");
    expect(error.message).toBe("an unexpected error: x is undefined");
    expect(error.hint).toContain("LEADGLASS_DEBUG=1");
  });

  it("whatTheSystemRefuses_isNoBug", () => {
    const refused = Object.assign(new Error("EACCES: permission denied, open 'x'"), { code: "EACCES" });
    expect(reported(refused, false)).toMatchObject({ exit: 2, stdout: "" });
  });

  it("aFileNameInAnUnexpectedError_isNotTold", () => {
    const path = "images/record-4711.png";
    const error = Object.assign(new Error(`ENOENT: no such file, open '${path}'`), { code: "ENOENT", path });
    const { exit, stdout, stderr } = reported(error, false);
    expect(exit).toBe(70);
    expect(stdout).toBe("");
    expect(stderr).toContain("ENOENT");
    expect(stderr).not.toContain("4711");
  });

  it("somethingThrownThatIsNoError_isABugToo", () => {
    expect(reported(undefined, true).exit).toBe(70);
  });
});
