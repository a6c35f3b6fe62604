/** Private encodings: keys, encoders, releases, and training on releases of many hospitals. */
export * from "./keys.ts";
export { expandTensor, expandWords, normalQuantileExact, type Distribution } from "./expand.ts";
export { imageNonce, nonceBytes, noiseBound, releasedEncoding, shufflePermutation, type NoiseBound } from "./nonce.ts";
export * from "./schemes/index.ts";
export { countPublished, publishedWith, readKey, writeKey, type Published } from "./key-file.ts";
export * from "./release/index.ts";
export { encodeCohort, startEncoder, type EncodeOptions, type EncodeResult, type Encoder } from "./encode.ts";
