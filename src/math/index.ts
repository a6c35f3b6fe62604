/** Randomness, seeded and cryptographic; special functions; statistics of plain arrays. */
export { fillGaussian, secureRandom, seededRandom, shuffle, type RandomSource } from "./random.ts";
export {
  betaQuantile,
  erf,
  erfc,
  log1pExp,
  logAddExp,
  logBeta,
  logErfc,
  logExpm1,
  logGamma,
  logNormalCdf,
  logSumExp,
  regularizedBeta,
} from "./special.ts";
export { argsort, mean, midranks, normalCdf, normalQuantile, quantileSorted, variance } from "./statistics.ts";
export { symmetricEigen, type SymmetricEigen } from "./symmetric-eigen.ts";
