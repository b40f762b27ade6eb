// Gaussian splats in WebGL2, in one module without dependencies: the exported page inlines it, a
// notebook widget imports it.
//
//   const view = new SplatView(canvas, {background: [1, 1, 1]});
//   view.setSplats(packedBuffer);            // idf_helpers/exporting/pack.py says how they are packed
//   view.setCamera({w2c, fx, fy, cx, cy, width, height});    // orbit.js does it from a mouse
//   view.render();                           // now, or let it draw before the next repaint
//
// An avatar's pack holds the bases of its expression, too: view.setWeights([…]) moves the face. A
// restyled head's holds the style as its one basis.
//
// The picture is that of 3D Gaussian splatting (arXiv 2308.04079) and of the rasterizers in
// idf_helpers/splats: perspective covariance + 0.3 px², alpha = min(0.99, opacity exp(-sigma)),
// nothing below 1/255, depth order along the optical axis, color max(0, 0.5 + SH(direction)).
// The canvas has 8 bits a channel: it cuts colors above 1 before they are blended.

import {Blend} from './blend.js';
import {unpack} from './unpack.js';
import {tileOf, Watermark} from './watermark.js';

const CUTOFF = 255;            // a Gaussian ends where its alpha falls below 1 / CUTOFF
const BASE_TEXELS = 4;         // mean + opacity, quaternion, scales, color
const MANY = 200000;           // more Gaussians than this are not sorted anew in every frame
const BATCH = 128;             // quads an instance: instances of a single quad are slow everywhere
const ORDER_WIDTH = 1024;      // of the texture that holds the depth order

// ---------------------------------------------------------------------------- depth order

/** Fills `order` with the indices of the Gaussians in front of the camera, farthest first, by a
 *  counting sort over 2^16 depths; returns how many there are. `row`: the third row of the
 *  world-to-camera matrix (depth = row · (x, y, z, 1)). */
function sortByDepth(means, row, near, order, keys, depths, counts) {
  const n = depths.length;
  let lo = Infinity, hi = -Infinity;
  for (let i = 0; i < n; i++) {
    const d = row[0] * means[3 * i] + row[1] * means[3 * i + 1] + row[2] * means[3 * i + 2] + row[3];
    depths[i] = d;
    if (d > near) { if (d < lo) lo = d; if (d > hi) hi = d; }
  }
  counts.fill(0);
  const scale = hi > lo ? (counts.length - 2) / (hi - lo) : 0;
  for (let i = 0; i < n; i++) {
    if (depths[i] <= near) continue;
    keys[i] = (hi - depths[i]) * scale;      // 0 is the farthest
    counts[keys[i] + 1]++;
  }
  for (let k = 1; k < counts.length; k++) counts[k] += counts[k - 1];
  const drawn = counts[counts.length - 1];
  for (let i = 0; i < n; i++) if (depths[i] > near) order[counts[keys[i]]++] = i;
  return drawn;
}

// ---------------------------------------------------------------------------- shaders

const VERTEX = `#version 300 es
precision highp float; precision highp int; precision highp sampler2D;
precision highp usampler2D;
uniform usampler2D order;         // farthest first
uniform int drawn;
uniform sampler2D base, rest;     // BASE_TEXELS and restTexels texels a Gaussian
uniform ivec2 perRow;             // Gaussians a row of each texture
uniform int degree, restTexels;
uniform mat3 R; uniform vec3 t, eye;          // world -> camera: x right, y down, z forward
uniform vec2 focal, center, size;             // pixels
uniform float dilation;                       // pixels²
out vec2 at; flat out vec4 color; flat out float reach;

int i;                            // the Gaussian

vec4 stored(int k) {
  return texelFetch(base, ivec2(i % perRow.x * ${BASE_TEXELS} + k, i / perRow.x), 0);
}

vec4 texels[12];
vec3 coefficient(int k) {         // k = 1 … 15
  int j = 3 * (k - 1);
  return vec3(texels[j / 4][j % 4], texels[(j + 1) / 4][(j + 1) % 4], texels[(j + 2) / 4][(j + 2) % 4]);
}

// Real spherical harmonics, degree 0 to 3, as 3DGS orders and signs them.
vec3 radiance(vec3 dc, vec3 d) {
  vec3 c = 0.5 + 0.28209479 * dc;
  if (degree > 0) {
    ivec2 at = ivec2(i % perRow.y * restTexels, i / perRow.y);
    for (int k = 0; k < restTexels; k++) texels[k] = texelFetch(rest, at + ivec2(k, 0), 0);
    float x = d.x, y = d.y, z = d.z;
    c += 0.48860251 * (-y * coefficient(1) + z * coefficient(2) - x * coefficient(3));
    if (degree > 1) {
      float xx = x * x, yy = y * y, zz = z * z;
      c += 1.09254843 * (x * y * coefficient(4) - y * z * coefficient(5) - x * z * coefficient(7))
        + 0.31539157 * (2. * zz - xx - yy) * coefficient(6)
        + 0.54627422 * (xx - yy) * coefficient(8);
      if (degree > 2) {
        c += -0.59004359 * y * (3. * xx - yy) * coefficient(9)
          + 2.89061144 * x * y * z * coefficient(10)
          - 0.45704580 * y * (4. * zz - xx - yy) * coefficient(11)
          + 0.37317633 * z * (2. * zz - 3. * xx - 3. * yy) * coefficient(12)
          - 0.45704580 * x * (4. * zz - xx - yy) * coefficient(13)
          + 1.44530572 * z * (xx - yy) * coefficient(14)
          - 0.59004359 * x * (xx - 3. * yy) * coefficient(15);
      }
    }
  }
  return max(c, 0.);
}

void main() {
  gl_Position = vec4(0., 0., 2., 1.);          // outside: what returns early is not drawn
  int rank = gl_InstanceID * ${BATCH} + (gl_VertexID >> 2);
  if (rank >= drawn) return;
  i = int(texelFetch(order, ivec2(rank % ${ORDER_WIDTH}, rank / ${ORDER_WIDTH}), 0).r);
  vec4 mean = stored(0), q = normalize(stored(1));
  vec3 s = stored(2).xyz, p = R * mean.xyz + t;
  if (mean.w * ${CUTOFF}. <= 1.) return;

  // Rotation of the Gaussian, times its scales: M = R(q) diag(s).
  float w = q.x, x = q.y, y = q.z, z = q.w;
  mat3 M = mat3(
    s.x * vec3(1. - 2. * (y * y + z * z), 2. * (x * y + w * z), 2. * (x * z - w * y)),
    s.y * vec3(2. * (x * y - w * z), 1. - 2. * (x * x + z * z), 2. * (y * z + w * x)),
    s.z * vec3(2. * (x * z + w * y), 2. * (y * z - w * x), 1. - 2. * (x * x + y * y)));

  // Sigma' = (J R M)(J R M)^T + dilation I, J the derivative of the projection, which is taken no
  // farther out than 0.3 half pictures beyond the edge (3DGS).
  vec2 slope = p.xy / p.z, over = 0.15 * size / focal;
  vec2 j = clamp(slope, -center / focal - over, (size - center) / focal + over);
  mat3 V = transpose(R * M);        // columns: the camera's x, y, z of the three axes
  vec3 u = focal.x / p.z * (V[0] - j.x * V[2]);
  vec3 v = focal.y / p.z * (V[1] - j.y * V[2]);
  float A = dot(u, u) + dilation, B = dot(u, v), C = dot(v, v) + dilation;

  // Half axes of the ellipse on which alpha = 1 / CUTOFF: sigma = reach = ln(CUTOFF opacity).
  reach = log(${CUTOFF}. * mean.w);
  float mid = 0.5 * (A + C), radius = length(vec2(0.5 * (A - C), B));
  float l1 = mid + radius, l2 = max(mid - radius, 0.5 * dilation);
  vec2 e = abs(B) > 1e-6 * l1 ? normalize(vec2(B, l1 - A)) : A >= C ? vec2(1., 0.) : vec2(0., 1.);
  vec2 r = min(sqrt(2. * reach * vec2(l1, l2)), 4. * (size.x + size.y));
  at = vec2(gl_VertexID & 1, gl_VertexID >> 1 & 1) * 2. - 1.;
  vec2 pixel = focal * slope + center + at.x * r.x * e + at.y * r.y * vec2(-e.y, e.x);
  gl_Position = vec4(2. * pixel.x / size.x - 1., 1. - 2. * pixel.y / size.y, 0., 1.);
  color = vec4(radiance(stored(3).xyz, normalize(mean.xyz - eye)), mean.w);
}`;

const FRAGMENT = `#version 300 es
precision highp float;
in vec2 at; flat in vec4 color; flat in float reach;
out vec4 pixel;
void main() {
  float s = dot(at, at);
  if (s > 1.) discard;
  float alpha = min(0.99, color.a * exp(-reach * s));
  pixel = vec4(color.rgb * alpha, alpha);        // premultiplied
}`;

// ---------------------------------------------------------------------------- the view

/** Draws splats into a canvas. Options: background [r, g, b] in 0…1, or null for a transparent
 *  canvas; maxPixelRatio (2); footprint, the width of a training pixel at the middle of the scene
 *  (0: unknown); watermark: the carriers of the one to lay over each picture ('': none). Throws an Error with a sentence for the user where WebGL2 is missing. */
export class SplatView {
  constructor(canvas, options = {}) {
    this.canvas = canvas;
    this.background = options.background ?? null;
    this.maxPixelRatio = options.maxPixelRatio ?? 2;
    this.footprint = options.footprint ?? 0;
    this.near = options.near ?? 1e-3;
    this._tile = options.watermark ? tileOf(options.watermark) : null;
    this.quality = 1;          // fraction of the resolution; lowered while a slow machine moves
    this.onframe = null;       // called after each drawn frame
    this.gl = canvas.getContext('webgl2', {alpha: true, antialias: false, depth: false,
      stencil: false, premultipliedAlpha: true, powerPreference: 'high-performance'});
    if (!this.gl) {
      throw new Error('This browser cannot show 3D pictures here: WebGL2 is missing or switched '
        + 'off. A current Chrome, Edge, Firefox or Safari can.');
    }
    this._listeners = new AbortController();
    const on = (type, handler) =>
      canvas.addEventListener(type, handler, {signal: this._listeners.signal});
    on('webglcontextlost', event => { event.preventDefault(); this._ready = false; });
    on('webglcontextrestored', () => { this._start(); this.requestRender(); });
    this._observer = new ResizeObserver(() => this.requestRender());
    this._observer.observe(canvas);
    this._start();
  }

  /** Splats as an ArrayBuffer or typed array (packed), or as the object that `unpack` returns.
   *  Changed means, scales … in `view.splats` are shown after `view.upload()`. */
  setSplats(splats) {
    this.splats = splats.means ? splats : unpack(splats);
    this._blend = this.splats.moving ? new Blend(this.splats) : null;
    this._weights = null;
    const n = this.splats.count;
    const rows = Math.ceil(n / ORDER_WIDTH);
    this._sorting = {order: new Uint32Array(ORDER_WIDTH * rows), keys: new Uint16Array(n),
      depths: new Float32Array(n), counts: new Uint32Array(65537)};
    this.upload();
  }

  /** Moves the face of an avatar: K numbers, the next picture shows them. */
  setWeights(weights) {
    if (!this._blend) return;
    this._weights = weights;
    this.requestRender();
  }

  /** A pinhole camera: w2c 12 or 16 numbers, row-major, OpenCV axes (x right, y down, z forward);
   *  fx, fy, cx, cy in pixels of a width × height picture, which is fitted into the canvas.
   *  distance: to the middle of the scene, if known; training pixels seen from closer are larger. */
  setCamera(camera) {
    this.camera = camera;
    this._sorted = false;
    this.requestRender();
  }

  setBackground(background) {
    this.background = background;
    this.requestRender();
  }

  /** Draws before the next repaint, once, however often it is called. */
  requestRender() {
    this._request ??= requestAnimationFrame(() => { this._request = null; this.render(); });
  }

  /** Whether the last picture is finished: drawing more before only makes a slow machine lag. */
  get idle() {
    const {gl} = this;
    if (!this._fence || gl.isContextLost()) return true;
    return gl.getSyncParameter(this._fence, gl.SYNC_STATUS) === gl.SIGNALED;
  }

  /** Draws now at a size of its own and returns the canvas; it holds this picture until the browser
   *  goes on, so it has to be copied at once. */
  capture(width, height) {
    if (!this._ready || this.gl.isContextLost())
      throw new Error('Nothing was saved: the graphics card takes a break. Try again in a moment.');
    this._size = [width, height];
    this.render();
    this._size = null;
    this.requestRender();
    return this.canvas;
  }

  /** Draws now. */
  render() {
    const {gl, camera, splats} = this;
    cancelAnimationFrame(this._request);
    this._request = null;
    if (!this._ready || !splats || !camera || gl.isContextLost()) return;
    this._fitCanvas();
    if (this._weights) {
      this._blend.apply(this._weights);
      this._weights = null;
      this._upload(this.splats.moving.rows);
      if (this._blend.turns) this._uploadRest();
      this._sorted = false;
    }
    const w = this.canvas.width, h = this.canvas.height;
    const m = camera.w2c;
    this._sort([m[8], m[9], m[10], m[11]]);
    const s = Math.min(w / camera.width, h / camera.height);
    const fx = camera.fx * s, fy = camera.fy * s;
    const {uniforms: at} = this;
    gl.viewport(0, 0, w, h);
    gl.useProgram(this._program);
    gl.uniformMatrix3fv(at.R, true, [m[0], m[1], m[2], m[4], m[5], m[6], m[8], m[9], m[10]]);
    gl.uniform3f(at.t, m[3], m[7], m[11]);
    gl.uniform3f(at.eye, -(m[0] * m[3] + m[4] * m[7] + m[8] * m[11]),
      -(m[1] * m[3] + m[5] * m[7] + m[9] * m[11]), -(m[2] * m[3] + m[6] * m[7] + m[10] * m[11]));
    gl.uniform2f(at.focal, fx, fy);
    gl.uniform2f(at.center, w / 2 + s * (camera.cx - camera.width / 2),
      h / 2 + s * (camera.cy - camera.height / 2));
    gl.uniform2f(at.size, w, h);
    // 3DGS widens every Gaussian by 0.3 px² of the pictures that it was trained on. In a sharper
    // or closer view those pixels are larger; without this the surface falls apart into needles.
    const magnified = this.footprint * fx / (camera.distance || Infinity);
    gl.uniform1f(at.dilation, 0.3 * Math.max(1, magnified ** 2));
    const b = this.background;
    const mark = this._watermark;    // needs to know what is drawn: alpha is 0 behind it at first
    gl.clearColor(b?.[0] ?? 0, b?.[1] ?? 0, b?.[2] ?? 0, b && !mark ? 1 : 0);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform1i(at.drawn, this._drawn);
    gl.drawElementsInstanced(gl.TRIANGLES, 6 * BATCH, gl.UNSIGNED_SHORT, 0,
      Math.ceil(this._drawn / BATCH));
    mark?.draw(gl, w, h);
    if (mark && b) {
      gl.colorMask(false, false, false, true);
      gl.clearColor(0, 0, 0, 1);
      gl.clear(gl.COLOR_BUFFER_BIT);
      gl.colorMask(true, true, true, true);
    }
    if (this._fence) gl.deleteSync(this._fence);
    this._fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    gl.flush();
    this.onframe?.();
  }

  dispose() {
    cancelAnimationFrame(this._request);
    this._listeners.abort();
    this._observer.disconnect();
    this._ready = false;
    this.gl.getExtension('WEBGL_lose_context')?.loseContext();
  }

  _start() {
    const {gl} = this;
    this._program = link(gl, VERTEX, FRAGMENT);
    this.uniforms = {};
    for (const name of ['order', 'drawn', 'base', 'rest', 'perRow', 'degree', 'restTexels', 'R', 't',
      'eye', 'focal', 'center', 'size', 'dilation'])
      this.uniforms[name] = gl.getUniformLocation(this._program, name);
    gl.bindVertexArray(gl.createVertexArray());
    const corners = new Uint16Array(6 * BATCH);
    for (let k = 0; k < corners.length; k++)
      corners[k] = 4 * Math.floor(k / 6) + [0, 1, 2, 2, 1, 3][k % 6];
    gl.bindBuffer(gl.ELEMENT_ARRAY_BUFFER, gl.createBuffer());
    gl.bufferData(gl.ELEMENT_ARRAY_BUFFER, corners, gl.STATIC_DRAW);
    gl.disable(gl.DEPTH_TEST);
    gl.enable(gl.BLEND);
    gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
    this._textures = [0, 1, 2].map(() => gl.createTexture());
    this._watermark = this._tile && new Watermark(gl, link, this._tile);
    this._fence = null;
    this._ready = true;
    if (this.splats) this.upload();
  }

  /** Sends `this.splats` to the graphics card (again). */
  upload() {
    const {gl, splats} = this;
    const n = splats.count;
    gl.useProgram(this._program);
    const perRow = [this._texture(0, gl.RGBA32F, n, BASE_TEXELS), this._uploadRest()];
    this._base = new Float32Array(4 * BASE_TEXELS * perRow[0] * Math.ceil(n / perRow[0]));
    this._perRow = perRow[0];
    this._upload(n);
    ['base', 'rest', 'order'].forEach((name, unit) => gl.uniform1i(this.uniforms[name], unit));
    gl.uniform2i(this.uniforms.perRow, ...perRow);
    gl.uniform1i(this.uniforms.degree, splats.degree);
    gl.uniform1i(this.uniforms.restTexels, this._restTexels);
    this._bind(2);
    gl.texImage2D(gl.TEXTURE_2D, 0, gl.R32UI, ORDER_WIDTH, Math.ceil(n / ORDER_WIDTH), 0,
      gl.RED_INTEGER, gl.UNSIGNED_INT, null);
    this._sorted = false;
    this.requestRender();
  }

  // The view-dependent part of the colors; returns how many Gaussians a row holds.
  _uploadRest() {
    const {gl, splats: {count, degree, sh}} = this;
    const numbers = 3 * ((degree + 1) ** 2 - 1);
    const texels = Math.max(1, Math.ceil(numbers / 4));
    const rest = new Float32Array(4 * texels * (degree ? count : 1));
    for (let i = 0; degree && i < count; i++)
      rest.set(sh.subarray(numbers * i, numbers * (i + 1)), 4 * texels * i);
    this._restTexels = texels;
    return this._texture(1, gl.RGBA16F, degree ? count : 1, texels, rest);
  }

  // The first n Gaussians without the view-dependent part of their color.
  _upload(n) {
    const {gl, splats, _base: base} = this;
    for (let i = 0, j = 0; i < n; i++, j += 16) {
      for (let c = 0; c < 3; c++) {
        base[j + c] = splats.means[3 * i + c];
        base[j + 8 + c] = splats.scales[3 * i + c];
        base[j + 12 + c] = splats.colors[3 * i + c];
      }
      base[j + 3] = splats.opacities[i];
      for (let c = 0; c < 4; c++) base[j + 4 + c] = splats.quats[4 * i + c];
    }
    this._bind(0);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, BASE_TEXELS * this._perRow,
      Math.ceil(n / this._perRow), gl.RGBA, gl.FLOAT, base);
  }

  // Rows of whole Gaussians, as many as n take; returns how many a row holds.
  _texture(unit, format, n, texels, values = null) {
    const {gl} = this;
    const limit = gl.getParameter(gl.MAX_TEXTURE_SIZE);
    const perRow = Math.floor(Math.min(limit, 4096) / texels);
    const rows = Math.ceil(n / perRow);
    if (rows > limit) throw new Error('This graphics card cannot hold so many splats.');
    const padded = values && new Float32Array(4 * texels * perRow * rows);
    padded?.set(values);
    this._bind(unit);
    gl.texImage2D(gl.TEXTURE_2D, 0, format, texels * perRow, rows, 0, gl.RGBA, gl.FLOAT, padded);
    return perRow;
  }

  _bind(unit) {
    const {gl} = this;
    gl.activeTexture(gl.TEXTURE0 + unit);
    gl.bindTexture(gl.TEXTURE_2D, this._textures[unit]);
    for (const side of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER])
      gl.texParameteri(gl.TEXTURE_2D, side, gl.NEAREST);
  }

  _fitCanvas() {
    const ratio = Math.min(devicePixelRatio || 1, this.maxPixelRatio) * this.quality;
    const [width, height] = this._size ?? [this.canvas.clientWidth, this.canvas.clientHeight]
      .map(side => Math.max(1, Math.round(side * ratio)));
    if (this.canvas.width !== width) this.canvas.width = width;
    if (this.canvas.height !== height) this.canvas.height = height;
  }

  _sort(row) {
    if (this._sorted) return;
    const now = performance.now();
    if (!this._size && this._drawn && this.splats.count > MANY && now - this._sortedAt < 100) {
      this.requestRender();    // too many for every frame: this one keeps the last order
      return;
    }
    const {order, keys, depths, counts} = this._sorting;
    this._drawn = sortByDepth(this.splats.means, row, this.near, order, keys, depths, counts);
    const {gl} = this;
    this._bind(2);
    gl.texSubImage2D(gl.TEXTURE_2D, 0, 0, 0, ORDER_WIDTH, Math.ceil(this._drawn / ORDER_WIDTH),
      gl.RED_INTEGER, gl.UNSIGNED_INT, order);
    this._sorted = true;
    this._sortedAt = now;
  }
}

function link(gl, vertex, fragment) {
  const program = gl.createProgram();
  for (const [kind, text] of [[gl.VERTEX_SHADER, vertex], [gl.FRAGMENT_SHADER, fragment]]) {
    const shader = gl.createShader(kind);
    gl.shaderSource(shader, text);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost())
      throw new Error(gl.getShaderInfoLog(shader));
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost())
    throw new Error(gl.getProgramInfoLog(program));
  return program;
}
