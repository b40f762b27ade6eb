// The imperceptible watermark of idf_helpers/provenance/watermark, laid over every picture that the
// view draws: so a screenshot tells what it shows. Only where something is drawn, a little more than
// one of 255 levels strong; the background stays as it is.

const TILE = 128;              // pixels after which the pattern repeats
const SHORT_SIDE = 512;        // pixels: in larger pictures the pattern grows with them
const STRENGTH = 1.1 / 255;    // rms, of what is opaque

const VERTEX = `#version 300 es
void main() {                  // one triangle over everything
  gl_Position = vec4(vec2(gl_VertexID & 1, gl_VertexID >> 1) * 4. - 1., 0., 1.);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
uniform sampler2D tile;
uniform float height, period, strength;      // pixels, pixels, signed
out vec4 pixel;
void main() {
  vec2 at = vec2(gl_FragCoord.x, height - gl_FragCoord.y) / period;
  pixel = vec4(vec3(max(0., strength * texture(tile, at).r)), 0.);
}`;

/** The pattern, (128, 128) of unit rms, from the carriers that watermark/pattern.py writes: a digit
 *  3 (re + 1) + im + 1 for each frequency, rows of -n … n turns down, columns of 0 … n across. */
export function tileOf(carriers) {
  const columns = Math.round((Math.sqrt(1 + 8 * carriers.length) + 1) / 4);   // (2c - 1) c digits
  const tile = new Float32Array(TILE * TILE);
  for (let kx = 0; kx < columns; kx++)
    for (let y = 0; y < TILE; y++) {
      let re = 0, im = 0;
      for (let row = 0; row < 2 * columns - 1; row++) {
        const digit = +carriers[row * columns + kx], a = Math.floor(digit / 3) - 1, b = digit % 3 - 1;
        const turn = 2 * Math.PI * (row - columns + 1) * y / TILE;
        re += a * Math.cos(turn) - b * Math.sin(turn);
        im += a * Math.sin(turn) + b * Math.cos(turn);
      }
      for (let x = 0; x < TILE; x++) {
        const turn = 2 * Math.PI * kx * x / TILE;
        tile[y * TILE + x] += re * Math.cos(turn) - im * Math.sin(turn);
      }
    }
  const rms = Math.sqrt(tile.reduce((sum, value) => sum + value * value, 0) / tile.length) || 1;
  return tile.map(value => value / rms);
}

/** Draws the pattern over what a context has just drawn. link(gl, vertex, fragment): a program. */
export class Watermark {
  constructor(gl, link, tile) {
    this.program = link(gl, VERTEX, FRAGMENT);
    this.at = {};
    for (const name of ['tile', 'height', 'period', 'strength'])
      this.at[name] = gl.getUniformLocation(this.program, name);
    this.texture = gl.createTexture();
    gl.activeTexture(gl.TEXTURE3);
    gl.bindTexture(gl.TEXTURE_2D, this.texture);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R16F, TILE, TILE, 0, gl.RED, gl.FLOAT, tile);
    for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER])
      gl.texParameteri(gl.TEXTURE_2D, side, gl.LINEAR);
  }

  /** width, height: of the canvas, whose alpha says how much of each pixel was drawn. */
  draw(gl, width, height) {
    gl.useProgram(this.program);
    gl.uniform1i(this.at.tile, 3);
    gl.uniform1f(this.at.height, height);
    gl.uniform1f(this.at.period, TILE * Math.max(1, Math.min(width, height) / SHORT_SIDE));
    gl.blendFuncSeparate(gl.DST_ALPHA, gl.ONE, gl.ZERO, gl.ONE);
    for (const [sign, equation] of [[1, gl.FUNC_ADD], [-1, gl.FUNC_REVERSE_SUBTRACT]]) {
      gl.blendEquationSeparate(equation, gl.FUNC_ADD);
      gl.uniform1f(this.at.strength, sign * STRENGTH);
      gl.drawArrays(gl.TRIANGLES, 0, 3);
    }
    gl.blendEquation(gl.FUNC_ADD);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  }
}
