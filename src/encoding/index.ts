/** Private encodings: keys, encoders, releases, and training on releases of many hospitals. */
export * from "./keys.ts";
export { expandTensor, expandWords, normalQuantileExact, type Distribution } from "./expand.ts";
export { imageNonce, nonceBytes, noiseBound, releasedEncoding, shufflePermutation, type NoiseBound } from "./nonce.ts";
export * from "./schemes/index.ts";
