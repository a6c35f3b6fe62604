/** Randomness, seeded and cryptographic; special functions; statistics of plain arrays. */
export { fillGaussian, secureRandom, seededRandom, shuffle, type RandomSource } from "./random.ts";
export { erf, erfc, log1pExp, logAddExp, logErfc, logExpm1, logNormalCdf, logSumExp } from "./special.ts";
export { argsort, mean, midranks, normalCdf, normalQuantile, quantileSorted, variance } from "./statistics.ts";
