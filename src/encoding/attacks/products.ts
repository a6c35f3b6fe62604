import { gemm, graphOf, input } from "../../graph/index.ts";
import { startEngine, type Program } from "../../runtime/index.ts";

/** Products of large matrices on the engine. */
export interface Products extends AsyncDisposable {
  /**
   * op(a) op(b), [m, k] x [k, n] -> [m, n], row-major, where op transposes what is flagged: a is then stored [k, m], b
   * [n, k]. Operands are copied, not emptied.
   */
  readonly product: (
    a: Float32Array,
    b: Float32Array,
    size: { readonly m: number; readonly k: number; readonly n: number },
    flags?: { readonly transA?: boolean; readonly transB?: boolean },
  ) => Promise<Float32Array>;
}

/** Starts an engine for products; dispose it with `await using`. */
export async function startProducts(): Promise<Products> {
  const engine = await startEngine();
  const programs = new Map<string, Program>();
  return {
    async product(a, b, { m, k, n }, { transA = false, transB = false } = {}) {
      const [shapeA, shapeB] = [transA ? [k, m] : [m, k], transB ? [n, k] : [k, n]];
      const key = [m, k, n, transA, transB].join();
      let program = programs.get(key);
      if (!program) {
        const y = gemm(input("a", shapeA), input("b", shapeB), undefined, { transA, transB });
        program = await engine.load(graphOf("product", { y }), { seldom: true });
        programs.set(key, program);
      }
      const { y } = await program.run({ a: { data: a.slice(), shape: shapeA }, b: { data: b.slice(), shape: shapeB } });
      return y!.data as Float32Array;
    },
    [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose](),
  };
}
