// Turning, zooming and moving a SplatView by mouse, touch and keyboard.
//
//   const orbit = new OrbitControls(view, {center, up, front, distance, fov, sweep, period});
//
// center, up, front: 3 numbers each, as in cameras.SceneFrame; distance in world units; fov in
// radians, of the shorter side of the canvas. Until somebody touches it the head turns by itself:
// `sweep` degrees of a full turn (360), or less to sway about the middle of `turn`; 0 stands still.
// turn, tilt: least and largest yaw, and pitch, in degrees, between which there is something to see,
// null all round. yaw, pitch: of the first view, degrees.

const DEGREE = Math.PI / 180;
const PITCH_LIMIT = 85 * DEGREE;
const SOFT = 15 * DEGREE;            // before a limit, where turning gets slower and slower
const FIRST = 0.3;                 // of the resolution
const ZOOM = [0.33, 3];            // nearest (outside of the head) and farthest, in start distances

export class OrbitControls {
  constructor(view, frame, options = {}) {
    this.view = view;
    this.canvas = view.canvas;
    this.frame = frame;
    this.sweep = (frame.sweep ?? 360) * Math.PI / 180;
    this.period = frame.period ?? 16;          // seconds a turn
    this.onchange = options.onchange ?? null;   // called when the turntable starts or stops
    const up = unit(frame.up);
    const front = unit(minus(frame.front, times(up, dot(frame.front, up))));
    this.axes = {up, front, side: cross(up, front)};
    this.start = {yaw: (frame.yaw ?? 0) * DEGREE, pitch: (frame.pitch ?? 4.6) * DEGREE,
      distance: frame.distance, center: [...frame.center]};
    this.limits = {turn: range(frame.turn, Infinity), tilt: range(frame.tilt, PITCH_LIMIT)};
    const [low, high] = this.limits.turn;
    this.middle = frame.turn ? (low + high) / 2 : 0;    // of the sway
    this.now = this._copy(this.start);          // what is shown, on its way to `goal`
    this.goal = this._copy(this.start);
    this.turning = this.sweep !== 0 && !matchMedia('(prefers-reduced-motion: reduce)').matches;
    this._clock = 0;                            // seconds of turntable
    this.busy = false;                          // something else moves: draw every frame
    this.ongoal = null;                         // called when somebody aims at another view
    this.onstep = null;                         // called with the seconds since the last frame
    this._pointers = new Map();
    this._listeners = new AbortController();
    this._listen();
    this._wake();
  }

  /** Yaw and pitch in radians (0, 0 is the front), distance, center: goes there smoothly. */
  setView(goal, {jump = false} = {}) {
    Object.assign(this.goal, goal);
    this._limit();
    if (jump) this.now = this._copy(this.goal);
    this.ongoal?.();
    this._wake();
  }

  reset() {
    this.goal = this._copy(this.start);
    const turns = Math.round((this.now.yaw - this.start.yaw) / (2 * Math.PI));
    this.goal.yaw += 2 * Math.PI * turns;       // the short way round
    this.ongoal?.();
    this._wake();
  }

  setTurning(turning) {
    if (turning === this.turning) return;
    this.turning = turning;
    if (turning) this._clock = this.clockAt(this.goal.yaw);
    this.onchange?.(turning);
    this._wake();
  }

  /** Something in the picture changed: draws it, as fast as it keeps changing. */
  stir() {
    this._stirred = performance.now() + 250;
    this._wake();
  }

  /** Leaves the camera to somebody else until the function that is returned is called. */
  hold() {
    const kept = this._copy(this.now);
    this._held = true;
    return () => {
      this._held = false;
      this.now = kept;
      this._wake();
    };
  }

  dispose() {
    cancelAnimationFrame(this._request);
    this._disposed = true;
    this._listeners.abort();
  }

  // ---- time: the picture follows the goal, and rests when it is there

  _wake() {
    if (this._disposed) return;
    this._then ??= performance.now();
    this._request ??= requestAnimationFrame(now => this._step(now));
  }

  _step(now) {
    this._request = null;
    if (this._held) { this._then = null; return; }
    if (!this.view.idle) { this._wake(); return; }
    const seconds = Math.max(0.001, (now - this._then) / 1000);
    const dt = Math.min(0.1, seconds);
    this._then = now;
    if (this.turning) {
      this._clock += dt;
      this.goal.yaw = this.yawAt(this._clock);
    }
    this.onstep?.(seconds);
    const {now: at, goal} = this;
    const gain = 1 - Math.exp(-dt * 14);
    let left = 0;
    const pull = (value, target, unitLength) => {
      left = Math.max(left, Math.abs(target - value) / unitLength);
      return value + (target - value) * gain;
    };
    at.yaw = pull(at.yaw, goal.yaw, 1);
    at.pitch = pull(at.pitch, goal.pitch, 1);
    at.distance = pull(at.distance, goal.distance, this.start.distance);
    for (let k = 0; k < 3; k++)
      at.center[k] = pull(at.center[k], goal.center[k], this.start.distance);
    const still = left <= 2e-4 && !this.turning;
    const moving = !still || this.busy || now < this._stirred;
    if (still) this.now = this._copy(goal);
    // A first picture soon, whatever the machine; the next one shows how fast it is.
    const first = !this._shown;
    this._shown = true;
    if (first) this.view.quality = FIRST; else this._pace(seconds, moving);
    this.view.setCamera(this.camera());
    this.view.render();
    if (first) this.view.quality = 0.5;           // until the speed of the machine is known
    if (moving || first) this._wake(); else this._then = null;
  }

  // A machine without a graphics card draws fewer pixels while the picture moves.
  _pace(seconds, moving) {
    this._mean = 0.8 * (this._mean ?? 0.016) + 0.2 * Math.min(1, seconds);
    const aim = this._mean > 0.045 ? Math.max(0.5, Math.sqrt(0.03 / this._mean))
      : this._mean < 0.02 && this.view.quality < 1 ? 1.15 : 1;
    if (aim !== 1) this._mean = 0.03;             // measure the new resolution before changing it
    this.view.quality = moving ? Math.max(0.35, Math.min(1, this.view.quality * aim)) : 1;
  }

  _full() { return this.sweep >= 2 * Math.PI - 1e-6; }

  /** The turntable's yaw after so many seconds. */
  yawAt(clock) {
    const phase = 2 * Math.PI * clock / this.period;
    return this._full() ? phase : this.middle + this.sweep / 2 * Math.sin(phase);
  }

  /** When the turntable comes past `yaw`. */
  clockAt(yaw) {
    const off = 2 * (yaw - this.middle) / (this.sweep || 1);
    const phase = this._full() ? yaw : Math.asin(Math.max(-1, Math.min(1, off)));
    return phase * this.period / (2 * Math.PI);
  }

  /** The camera of what is shown, for SplatView.setCamera. */
  camera() {
    const {yaw, pitch, distance, center} = this.now;
    const {up, front, side} = this.axes;
    const flat = plus(times(front, Math.cos(yaw)), times(side, Math.sin(yaw)));
    const back = plus(times(flat, Math.cos(pitch)), times(up, Math.sin(pitch)));
    const right = cross(up, flat);
    const down = cross(right, back);            // OpenCV axes: right, down, into the picture
    const into = times(back, -1);
    const position = plus(center, times(back, distance));
    const row = axis => [...axis, -dot(axis, position)];
    const f = 0.5 / Math.tan(this.frame.fov / 2);
    return {w2c: [...row(right), ...row(down), ...row(into)], fx: f, fy: f, cx: 0.5, cy: 0.5,
      width: 1, height: 1, distance};
  }

  // ---- input

  _listen() {
    const on = (type, handler, options = {}) =>
      this.canvas.addEventListener(type, handler, {signal: this._listeners.signal, ...options});
    this.canvas.style.touchAction = 'none';
    on('pointerdown', e => this._press(e));
    on('pointermove', e => this._move(e));
    for (const type of ['pointerup', 'pointercancel', 'lostpointercapture'])
      on(type, e => this._pointers.delete(e.pointerId));
    on('contextmenu', e => e.preventDefault());
    on('dblclick', () => { this.setTurning(false); this.reset(); });
    on('wheel', e => {
      e.preventDefault();
      this.setTurning(false);
      const pixels = e.deltaY * [1, 30, 300][e.deltaMode];
      this._zoom(Math.exp(Math.max(-100, Math.min(100, pixels)) * 0.002));
    }, {passive: false});
    on('keydown', e => this._key(e));
  }

  _press(e) {
    this.canvas.focus({preventScroll: true});
    this.canvas.setPointerCapture(e.pointerId);
    this._pointers.set(e.pointerId, [e.clientX, e.clientY]);
    this.setTurning(false);
    // Two taps at one place count as a double click on a touch screen, too.
    const tap = [e.timeStamp, e.clientX, e.clientY];
    const last = this._tap;
    this._tap = tap;
    if (e.pointerType === 'touch' && last && tap[0] - last[0] < 300 && this._pointers.size === 1
        && Math.hypot(tap[1] - last[1], tap[2] - last[2]) < 30) this.reset();
  }

  _move(e) {
    const from = this._pointers.get(e.pointerId);
    if (!from) return;
    const to = [e.clientX, e.clientY];
    const dx = to[0] - from[0], dy = to[1] - from[1];
    if (this._pointers.size === 1) {
      if (e.buttons & 6 || e.shiftKey) this._pan(dx, dy); else this._turn(dx, dy);
    } else if (this._pointers.size === 2) {
      const [other] = [...this._pointers].filter(([id]) => id !== e.pointerId).map(([, p]) => p);
      const length = p => Math.max(1, Math.hypot(p[0] - other[0], p[1] - other[1]));
      this._zoom(length(from) / length(to));
      this._pan(dx / 2, dy / 2);                // the middle of two fingers moves half as far
    }
    this._pointers.set(e.pointerId, to);
  }

  _key(e) {
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    const step = 0.12;
    const actions = {
      ArrowLeft: () => this._by({yaw: -step}), ArrowRight: () => this._by({yaw: step}),
      ArrowUp: () => this._by({pitch: step}), ArrowDown: () => this._by({pitch: -step}),
      '+': () => this._zoom(0.9), '=': () => this._zoom(0.9), '-': () => this._zoom(1 / 0.9),
      Home: () => this.reset(), '0': () => this.reset(),
    };
    if (e.key === ' ') { e.preventDefault(); this.setTurning(!this.turning); return; }
    if (!actions[e.key]) return;
    e.preventDefault();
    this.setTurning(false);
    actions[e.key]();
  }

  // Dragging across the shorter side of the canvas turns half round.
  _turn(dx, dy) {
    const perPixel = Math.PI / this._side();
    this._by({yaw: -dx * perPixel, pitch: dy * perPixel});
  }

  _by({yaw = 0, pitch = 0}) {
    const {turn, tilt} = this.limits, at = this.goal;
    this.setView({yaw: at.yaw + yaw * ease(at.yaw, yaw, turn),
      pitch: at.pitch + pitch * ease(at.pitch, pitch, tilt)});
  }

  _zoom(factor) { this.setView({distance: this.goal.distance * factor}); }

  _pan(dx, dy) {
    const {w2c, fx} = this.camera();
    const perPixel = this.goal.distance / (fx * this._side());
    const shift = plus(times(w2c.slice(0, 3), -dx * perPixel),
      times(w2c.slice(4, 7), -dy * perPixel));
    this.setView({center: plus(this.goal.center, shift)});
  }

  _side() { return Math.max(1, Math.min(this.canvas.clientWidth, this.canvas.clientHeight)); }

  _limit() {
    const {goal, start} = this;
    goal.yaw = clamp(goal.yaw, this.limits.turn);
    goal.pitch = clamp(goal.pitch, this.limits.tilt);
    goal.distance = Math.max(ZOOM[0] * start.distance, Math.min(ZOOM[1] * start.distance,
      goal.distance));
    const off = minus(goal.center, start.center);
    const far = Math.hypot(...off) / (start.distance * Math.tan(this.frame.fov / 2));
    if (far > 1.5) goal.center = plus(start.center, times(off, 1.5 / far));
  }

  _copy(state) { return {...state, center: [...state.center]}; }
}

// What is left of a move near a limit: all of it inward, ever less outward.
const ease = (at, move, [low, high]) => Math.max(0, Math.min(1,
  (move > 0 ? high - at : at - low) / Math.min(SOFT, (high - low) / 2)));
const range = (degrees, most) => degrees
  ? degrees.map(x => Math.max(-most, Math.min(most, x * DEGREE))) : [-most, most];
const clamp = (x, [low, high]) => Math.max(low, Math.min(high, x));
const dot = (a, b) => a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
const cross = (a, b) => [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2],
  a[0] * b[1] - a[1] * b[0]];
const plus = (a, b) => a.map((v, k) => v + b[k]);
const minus = (a, b) => a.map((v, k) => v - b[k]);
const times = (a, s) => a.map(v => v * s);
const unit = a => times(a, 1 / Math.hypot(...a));
