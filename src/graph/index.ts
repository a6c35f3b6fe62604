export * from "./value.ts";
export * from "./operators.ts";
export * from "./graph.ts";
export { apply, shapeRules } from "./apply.ts";
export { encodeModel, type EncodeOptions } from "./encode.ts";
export { declaredInputs, decodeMetadata, decodeModel, type DecodeOptions } from "./decode.ts";
export { simplify } from "./simplify.ts";
