// An avatar's face in the browser: value = neutral + sum_k w_k delta_k for the Gaussians that move.
//
//   const blend = new Blend(unpack(data));      // splat.js reads a pack, pack.py says what is in it
//   blend.apply(weights);                        // K numbers; changes the splats' own arrays
//
// It is done here and not in a shader: the depth order needs the moved positions anyway, the sum is
// made once a change instead of once a corner and frame, and no device has to draw into float
// textures. Chunks in which a basis changes nothing are passed over. benchmarks/viewer.py times it.

const same = x => x;
const sigmoid = x => 1 / (1 + Math.exp(-x));

export class Blend {
  constructor(splats) {
    this.splats = splats;
    this.bases = splats.bases;
    const {rows, deltas, logits} = splats.moving;
    const part = (name, out, columns, finish, neutral) => ({...deltas[name], out, columns, finish,
      neutral: neutral ?? out.slice(0, rows * columns)});
    this.parts = [
      part('means', splats.means, 3, same),
      part('log_scales', splats.scales, 3, Math.exp,
        splats.scales.slice(0, 3 * rows).map(Math.log)),
      part('quats', splats.quats, 4, same),
      part('logits', splats.opacities, 1, sigmoid, logits),
      part('colors', splats.colors, 3, same)];
    this._sum = new Float32Array(splats.chunk);
  }

  apply(weights) {
    const {chunk, moving: {rows}} = this.splats;
    const sum = this._sum, bases = this.bases;
    for (const {codes, ranges, top, out, columns, finish, neutral} of this.parts) {
      for (let c = 0; c < columns; c++) {
        for (let start = 0, r = 0; start < rows; start += chunk, r += 2 * columns * bases) {
          const n = Math.min(chunk, rows - start);
          for (let i = 0; i < n; i++) sum[i] = neutral[(start + i) * columns + c];
          let offset = 0;
          for (let k = 0; k < bases; k++) {
            const column = k * columns + c, lo = ranges[r + 2 * column];
            const step = weights[k] * (ranges[r + 2 * column + 1] - lo) / top;
            offset += weights[k] * lo;
            if (step === 0) continue;
            for (let i = 0, at = column * rows + start; i < n; i++) sum[i] += step * codes[at + i];
          }
          for (let i = 0; i < n; i++) out[(start + i) * columns + c] = finish(sum[i] + offset);
        }
      }
    }
  }
}
