/** Run-length coded frames (PS3.5, annex G). */

/**
 * Unpacks a frame into samples, interleaved; each byte of each sample has a segment, the highest first.
 * `fail` throws; nothing is allocated beyond `pixels * samples * bytesEach`.
 */
export function decodeRle(
  bytes: Uint8Array,
  { pixels, samples, bytesEach }: { readonly pixels: number; readonly samples: number; readonly bytesEach: 1 | 2 | 4 },
  fail: (message: string) => never,
): Uint8Array {
  if (bytes.length < 64) fail(`a run-length header of ${bytes.length} bytes; 64 expected`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const segments = view.getUint32(0, true);
  if (segments !== samples * bytesEach) fail(`${segments} run-length segments; ${samples * bytesEach} expected`);
  const offsets = Array.from({ length: segments }, (_, i) => view.getUint32(4 + 4 * i, true));
  offsets.push(bytes.length);
  // Little-endian samples, whose highest byte is the first segment.
  const out = new Uint8Array(pixels * samples * bytesEach);
  const stride = samples * bytesEach;
  for (let s = 0; s < segments; s++) {
    const [start, end] = [offsets[s]!, offsets[s + 1]!];
    if (start < 64 || end < start || end > bytes.length) fail(`run-length segment ${s} out of its frame`);
    const first = Math.floor(s / bytesEach) * bytesEach + bytesEach - 1 - (s % bytesEach);
    let done = 0;
    for (let at = start; done < pixels;) {
      if (at >= end) fail(`a run-length segment of ${done} bytes; ${pixels} expected`);
      const control = view.getInt8(at++);
      if (control === -128) continue;
      const count = control >= 0 ? control + 1 : 1 - control;
      if (done + count > pixels || at + (control >= 0 ? count : 1) > end)
        fail("a run-length segment that runs beyond its end");
      for (let i = 0; i < count; i++, done++) out[first + done * stride] = bytes[control >= 0 ? at + i : at]!;
      at += control >= 0 ? count : 1;
    }
  }
  return out;
}
