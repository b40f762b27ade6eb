// An avatar's face, or a restyled head, in the browser: value = neutral + sum_k w_k delta_k for the
// Gaussians that move.
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
    // stride: numbers a Gaussian in `out`, of which the first `columns` change
    const part = (name, out, stride, finish = same, neutral = out.slice(0, rows * stride)) =>
      deltas[name] && {...deltas[name], out, stride, finish, neutral,
        columns: deltas[name].columns / splats.bases};
    this.parts = [
      part('means', splats.means, 3),
      part('log_scales', splats.scales, 3, Math.exp,
        splats.scales.slice(0, 3 * rows).map(Math.log)),
      part('quats', splats.quats, 4),
      part('logits', splats.opacities, 1, sigmoid, logits),
      part('colors', splats.colors, 3),
      part('sh', splats.sh, 3 * ((splats.degree + 1) ** 2 - 1))].filter(Boolean);
    this.turns = Boolean(deltas.sh);       // whether the view-dependent color changes, too
    this._fading = splats.moving.fades && this.parts.find(part => part.out === splats.sh);
    this._sum = new Float32Array(splats.chunk);
  }

  apply(weights) {
    const {chunk, moving: {rows}} = this.splats;
    if (this._fading) {
      const {out, neutral, columns, stride} = this._fading, left = 1 - weights[0];
      for (let i = 0; i < rows; i++)
        for (let c = columns; c < stride; c++) out[i * stride + c] = left * neutral[i * stride + c];
    }
    const sum = this._sum, bases = this.bases;
    for (const {codes, ranges, top, out, columns, stride, finish, neutral} of this.parts) {
      for (let c = 0; c < columns; c++) {
        for (let start = 0, r = 0; start < rows; start += chunk, r += 2 * columns * bases) {
          const n = Math.min(chunk, rows - start);
          for (let i = 0; i < n; i++) sum[i] = neutral[(start + i) * stride + c];
          let offset = 0;
          for (let k = 0; k < bases; k++) {
            const column = k * columns + c, lo = ranges[r + 2 * column];
            const step = weights[k] * (ranges[r + 2 * column + 1] - lo) / top;
            offset += weights[k] * lo;
            if (step === 0) continue;
            for (let i = 0, at = column * rows + start; i < n; i++) sum[i] += step * codes[at + i];
          }
          for (let i = 0; i < n; i++) out[(start + i) * stride + c] = finish(sum[i] + offset);
        }
      }
    }
  }
}
