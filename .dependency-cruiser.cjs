// The floors of the house (see CONTRIBUTING.md): a folder imports from floors below it, never above, never sideways.
const floors = [
  ["errors.ts", "math"],
  ["graph"],
  ["autodiff", "runtime"],
  ["nn", "privacy", "imaging"],
  ["cohort", "training"],
  ["encoding", "synthesis", "evaluation"],
  ["study"],
  ["cli", "index.ts"],
];
const pathOf = (name) => (name.endsWith(".ts") ? `^src/${name.replace(".", "\\.")}$` : `^src/${name}/`);

const forbidden = [];
floors.forEach((folders, level) => {
  for (const folder of folders) {
    const above = floors.slice(level + 1).flat();
    const beside = folders.filter((other) => other !== folder && other !== "errors.ts");
    forbidden.push({
      name: `${folder}-imports-only-from-below`,
      severity: "error",
      from: { path: pathOf(folder) },
      to: { path: [...above, ...beside].map(pathOf).concat("^src/__nothing__") },
    });
  }
});

// These floors run unchanged in a browser.
const isomorphic = ["graph", "autodiff", "nn", "privacy", "math", "evaluation"];
forbidden.push({
  name: "isomorphic-floors-import-no-node-modules",
  severity: "error",
  from: { path: isomorphic.map(pathOf), pathNot: "\\.test\\.ts$|(^|/)node-[^/]*\\.ts$" },
  to: { dependencyTypes: ["core"] },
});
forbidden.push({
  name: "no-cycles",
  severity: "error",
  from: {},
  to: { circular: true, viaOnly: { dependencyTypesNot: ["type-only"] } },
});
forbidden.push({
  name: "source-does-not-import-tests",
  severity: "error",
  from: { pathNot: "\\.test\\.ts$" },
  to: { path: "\\.test\\.ts$|^test/|^bench/" },
});

module.exports = {
  forbidden,
  options: {
    doNotFollow: { path: "node_modules" },
    tsConfig: { fileName: "tsconfig.json" },
    tsPreCompilationDeps: true,
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"] },
  },
};
