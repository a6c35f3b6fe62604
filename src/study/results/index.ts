export * from "./course.ts";
export * from "./decide.ts";
export * from "./estimates.ts";
export * from "./record.ts";
export * from "./rows.ts";
