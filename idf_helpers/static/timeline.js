// Keyframes of an expression: which value each coefficient has when, and what lies between.
//
//   const line = new Timeline(neutral.length);
//   line.add(0, neutral); line.add(1.5, smile);
//   line.at(0.7)                                // E values, eased from one keyframe to the next
//
// Plain data without a page: timeline_bar.js shows it.

export const MOST = 64;                // keyframes
export const LONGEST = 600;            // seconds
const LARGEST = 1000;                  // of a value: beyond that nothing is a face
export const SPEEDS = [0.25, 0.5, 1, 2, 4];
const CLOSING = 0.6;                   // seconds from the last keyframe to the first one in a loop

export class Timeline {
  constructor(length) {
    this.length = length;
    this.keys = [];                    // {time, values}, in the order of time
    this.loop = true;
    this.speed = 1;
  }

  /** Seconds of the last keyframe. */
  get end() { return this.keys.at(-1)?.time ?? 0; }

  /** Seconds of one round: a loop leads back to its first expression. */
  get round() { return this.end + (this.loop && this.keys.length > 1 ? CLOSING : 0); }

  /** Puts an expression at a time, in the place of one that is there; returns the keyframe. */
  add(time, values) {
    time = timeOf(time);
    const there = this.keys.find(key => key.time === time);
    if (there) { there.values = Float32Array.from(values); return there; }
    if (this.keys.length >= MOST) return null;
    const key = {time, values: Float32Array.from(values)};
    this.keys.push(key);
    this._sort();
    return key;
  }

  /** Moves a keyframe; not onto another one. */
  move(key, time) {
    time = timeOf(time);
    if (this.keys.some(other => other !== key && other.time === time)) return;
    key.time = time;
    this._sort();
  }

  remove(key) { this.keys = this.keys.filter(other => other !== key); }

  /** The expression at a time, or null without keyframes. */
  at(time) {
    const {keys} = this;
    if (!keys.length) return null;
    const next = keys.findIndex(key => key.time > time);
    if (next === 0) return Float32Array.from(keys[0].values);
    const [a, b, from, to] = next > 0 ? [keys[next - 1], keys[next], keys[next - 1].time, keys[next].time]
      : [keys.at(-1), this.loop ? keys[0] : keys.at(-1), this.end, this.end + CLOSING];
    const t = Math.max(0, Math.min(1, (time - from) / (to - from))), eased = t * t * (3 - 2 * t);
    return a.values.map((value, e) => value + (b.values[e] - value) * eased);
  }

  toJSON() {
    return {keys: this.keys.map(({time, values}) => ({time, values: [...values].map(short)})),
      loop: this.loop, speed: this.speed};
  }

  /** Takes what `toJSON` wrote; an Error with a sentence for anything else, and nothing changed. */
  load(value) {
    const {keys, loop = true, speed = 1} = value ?? {};
    const good = Array.isArray(keys) && keys.length <= MOST && keys.every(key =>
      Number.isFinite(key?.time) && key.time >= 0 && key.time <= LONGEST
      && Array.isArray(key.values) && key.values.length === this.length
      && key.values.every(x => Number.isFinite(x) && Math.abs(x) <= LARGEST));
    if (!good) throw new Error('This is not a timeline of this face: it holds other numbers.');
    this.keys = [];
    for (const {time, values} of keys) this.add(time, values);
    this.loop = Boolean(loop);
    this.speed = SPEEDS.includes(speed) ? speed : 1;
  }

  _sort() { this.keys.sort((a, b) => a.time - b.time); }
}

const timeOf = time => Math.round(Math.max(0, Math.min(LONGEST, time)) * 20) / 20;
const short = x => +x.toFixed(4);
