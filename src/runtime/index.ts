export type { BlockwiseProgram, Device, Engine, EngineOptions, Feeds, HostTensor, Part, Program } from "./engine.ts";
export { replacedState, startEngine } from "./node-engine.ts";
