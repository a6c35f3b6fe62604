import { defineConfig } from "vitest/config";

export default defineConfig({
  test: {
    include: ["src/**/*.test.ts", "test/**/*.test.ts"],
    exclude: ["**/*.slow.test.ts", "**/node_modules/**"],
    testTimeout: 180_000,
    hookTimeout: 180_000,
    // Two forks: the engine itself takes two threads, and memory stays bounded on a two-core machine.
    pool: "forks",
    maxWorkers: 2,
  },
});
