// Reading a pack: idf_helpers/exporting/pack.py says how splats are packed.

/** Packed bytes -> {count, degree, means, scales, quats, opacities, colors, sh}, Float32Arrays with
 *  one Gaussian after the other (sh: coefficient-major, 3 (degree+1)² − 3 numbers each). Of an
 *  avatar: bases and moving = {rows, logits, deltas}, the deltas as they are packed. */
export function unpack(data) {
  const bytes = data instanceof ArrayBuffer ? new Uint8Array(data)
    : new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const buffer = bytes.byteOffset % 4 ? bytes.slice().buffer : bytes.buffer;
  const start = buffer === bytes.buffer ? bytes.byteOffset : 0;
  const ints = new DataView(buffer, start);
  if (ints.getUint32(0, false) !== 0x49444653 || ints.getUint32(4, true) !== 1)
    throw new Error('These data are no splats that this viewer can read.');
  const text = new TextDecoder().decode(new Uint8Array(buffer, start + 12, ints.getUint32(8, true)));
  const head = JSON.parse(text);
  const n = head.count;
  const section = name => dequantize(coded(buffer, start, head, head.sections[name]));
  const out = {count: n, degree: head.sh_degree, chunk: head.chunk, means: section('means'),
    scales: section('log_scales').map(Math.exp), opacities: section('opacities'),
    colors: section('colors'), sh: head.sh_degree ? section('sh') : new Float32Array(0)};
  out.quats = unpackQuats(new Uint32Array(buffer, start + head.sections.quats.codes, n));
  if (head.moving) {
    const deltas = {};
    for (const name of ['means', 'log_scales', 'quats', 'logits', 'colors', 'sh']) {
      const delta = head.sections[`delta_${name}`];
      if (delta) deltas[name] = coded(buffer, start, head, delta);
    }
    out.bases = head.bases;
    out.moving = {rows: head.moving, fades: head.fades, logits: deltas.logits && section('logits'), deltas};
  }
  return out;
}

// Codes column by column, ranges (chunks, columns, 2): value = lo + code (hi - lo) / top, lo and hi
// shared by a chunk of neighbors.
function coded(buffer, start, {count, chunk}, {type, columns, rows = count, codes, ranges}) {
  const Code = {u8: Uint8Array, u16: Uint16Array}[type];
  return {rows, columns, chunk, top: type === 'u8' ? 255 : 65535,
    codes: new Code(buffer, start + codes, rows * columns),
    ranges: new Float32Array(buffer, start + ranges, 2 * columns * Math.ceil(rows / chunk))};
}

function dequantize({rows, columns, chunk, top, codes, ranges}) {
  const out = new Float32Array(rows * columns);
  for (let c = 0; c < columns; c++) {
    for (let i = 0; i < rows; i++) {
      const r = 2 * (columns * Math.floor(i / chunk) + c);
      out[i * columns + c] = ranges[r] + codes[c * rows + i] * (ranges[r + 1] - ranges[r]) / top;
    }
  }
  return out;
}

// Smallest three: the largest component follows from the unit length.
function unpackQuats(codes) {
  const out = new Float32Array(4 * codes.length);
  for (let i = 0; i < codes.length; i++) {
    const largest = codes[i] >>> 30;
    let rest = 1;
    for (let k = 0, shift = 20; k < 4; k++) {
      if (k === largest) continue;
      const v = ((codes[i] >>> shift & 1023) / 1023 - 0.5) * Math.SQRT2;
      out[4 * i + k] = v;
      rest -= v * v;
      shift -= 10;
    }
    out[4 * i + largest] = Math.sqrt(Math.max(0, rest));
  }
  return out;
}
