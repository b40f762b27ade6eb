// Eyes and head that follow the pointer, ever less the farther it is, and never beyond what the
// avatar was seen to do.
//
//   const gaze = new Gaze(stage, orbit, face, rig.gaze);   // left, right, up, down: [[coefficient, most], …]
//   gaze.set(true); …; gaze.step(seconds);

const HEAD = 14 * Math.PI / 180;       // the head turns at most so far; the eyes do the rest
const ROOM = 0.7;                      // of the way to the limit of turning
const QUICK = 9;                       // 1 / seconds in which the eyes follow

export class Gaze {
  constructor(stage, orbit, face, ways) {
    Object.assign(this, {orbit, face, ways, on: false});
    this._aim = [0, 0];                // right and up, −1 to 1
    this._eyes = [0, 0];
    this._listeners = new AbortController();
    const listen = (type, handler) =>
      stage.addEventListener(type, handler, {signal: this._listeners.signal});
    listen('pointermove', event => this._point(event));
    listen('pointerleave', () => { if (this.on) this._toward(0, 0); });
  }

  set(on) {
    if (on === this.on) return;
    this.on = on;
    if (on) {
      this.orbit.setTurning(false);
      this._base = {...this.orbit.goal};
    } else this._toward(0, 0);
  }

  /** Whether the eyes still move. */
  get moving() { return this._eyes.some((at, k) => Math.abs(at - this._aim[k]) > 1e-3); }

  step(seconds) {
    if (!this.moving) return;
    const gain = 1 - Math.exp(-QUICK * seconds);
    this._eyes = this._eyes.map((at, k) => at + (this._aim[k] - at) * gain);
    if (!this.moving) this._eyes = [...this._aim];
    const [right, up] = this._eyes, turned = new Map();
    // to the viewer's right is to the head's left
    for (const [way, part] of [['left', right], ['right', -right], ['up', up], ['down', -up]]) {
      for (const [coefficient, most] of this.ways[way]) {
        const rest = this.face.rig.neutral[coefficient];
        if (part > 0) turned.set(coefficient, rest + part * (most - rest));
        else if (!turned.has(coefficient)) turned.set(coefficient, rest);
      }
    }
    this.face.look(this.on || this.moving ? turned : new Map());
  }

  dispose() { this._listeners.abort(); }

  _point(event) {
    if (event.buttons) this._base = null;              // a hand turns the head: from there on
    if (!this.on || event.buttons) return;
    this._base ??= {...this.orbit.goal};
    const {left, top, width, height} = this.orbit.canvas.getBoundingClientRect();
    const half = Math.min(width, height) / 2;
    this._toward(Math.tanh((event.clientX - left - width / 2) / half),
      Math.tanh((top + height / 2 - event.clientY) / half));
  }

  _toward(right, up) {
    this._aim = [right, up];
    const {limits} = this.orbit, base = this._base ?? this.orbit.goal;
    // The camera goes the other way round, so that the head comes to face the pointer.
    const to = (from, part, [low, high]) =>
      from - part * Math.min(HEAD, ROOM * Math.max(0, part > 0 ? from - low : high - from));
    this.orbit.setView({yaw: to(base.yaw, right, limits.turn), pitch: to(base.pitch, up, limits.tilt)});
    this.orbit.stir();
  }
}
