// The timeline under the face's sliders: keyframes to add, move and remove by hand, and to play.
//
//   const bar = new TimelineBar(root, face, {title, onplay, onchange});

import {save, stem} from './snapshot.js';
import {SPEEDS, Timeline} from './timeline.js';

const STEP = 0.1;                      // seconds a press of an arrow key

export class TimelineBar {
  constructor(root, face, {title, onplay = null, onchange = null}) {
    this.face = face;
    this.title = title;
    this.onplay = onplay;
    this.onchange = onchange;          // called when a keyframe changed
    this.line = new Timeline(face.value.length);
    this.playing = false;
    this.time = 0;
    this.chosen = null;
    this._find = id => root.querySelector('#' + id);
    this._listeners = new AbortController();
    const on = (id, type, handler) =>
      this._find(id).addEventListener(type, handler, {signal: this._listeners.signal});
    this._find('speed').replaceChildren(...SPEEDS.map(speed => {
      const option = document.createElement('option');
      option.value = speed;
      option.textContent = `${speed}×`;
      return option;
    }));
    on('timeline-open', 'click', () => this.open(this._find('timeline').hidden));
    on('timeline-play', 'click', () => this.play(!this.playing));
    on('key-add', 'click', () => this.add());
    on('key-set', 'click', () => { this.chosen.values = Float32Array.from(face.value); this._edited(); });
    on('key-remove', 'click', () => this.remove());
    on('timeline-loop', 'click', () => { this.line.loop = !this.line.loop; this._edited(); });
    on('speed', 'change', () => { this.line.speed = +this._find('speed').value; this._edited(); });
    on('time', 'input', () => { this.play(false); this.go(+this._find('time').value); });
    on('timeline-save', 'click', () => this.save());
    on('timeline-load', 'click', () => this._find('timeline-file').click());
    on('timeline-file', 'change', event => this._read(event.target));
    this._show();
  }

  open(open) {
    this._find('timeline').hidden = !open;
    this._find('timeline-open').setAttribute('aria-expanded', open);
    if (open) this.face.fold(false);
  }

  /** Adds the face's expression as a keyframe: where the playhead is, or a second after the last
   *  one if it stands on a keyframe. */
  add() {
    const {line} = this;
    this.play(false);
    const taken = line.keys.some(key => Math.abs(key.time - this.time) < STEP / 2);
    const key = line.add(taken ? line.end + 1 : this.time, this.face.value);
    if (!key) { this.say('The timeline is full.'); return; }
    this.time = key.time;
    this.chosen = key;
    this._edited();
  }

  remove() {
    if (!this.chosen) return;
    const at = this.line.keys.indexOf(this.chosen);
    this.line.remove(this.chosen);
    this.chosen = this.line.keys[Math.min(at, this.line.keys.length - 1)] ?? null;
    if (this.line.keys.length < 2) this.play(false);
    this._edited();
    (this._handles.get(this.chosen) ?? this._find('key-add')).focus();
  }

  /** Puts the playhead at a time and shows what the face does there. */
  go(time) {
    this.time = time;
    this.chosen = this.line.keys.find(key => Math.abs(key.time - time) < STEP / 2) ?? null;
    const values = this.line.at(time);
    if (values) this.face.set(values);
    this._show();
  }

  play(playing) {
    if (playing === this.playing || (playing && this.line.keys.length < 2)) return;
    this.playing = playing;
    if (playing && this.time >= this.line.end) this.time = 0;
    this._find('timeline-play').setAttribute('aria-pressed', playing);
    this.onplay?.(playing);
  }

  advance(seconds) {
    if (!this.playing) return;
    const {line} = this;
    this.time += seconds * line.speed;
    if (this.time >= line.round) {
      if (line.loop) this.time %= line.round;
      else { this.time = line.end; this.play(false); }
    }
    this.face.set(line.at(this.time));
    this._place();
  }

  get value() { return this.line.toJSON(); }

  /** Takes a timeline, as `value` gives it; an Error where it does not fit. */
  load(value) {
    this.play(false);
    this.line.load(value);
    this.time = 0;
    this.chosen = null;
    if (this.line.keys.length) this.open(true);
    this._show();
  }

  save() {
    const text = JSON.stringify({names: this.face.rig.names, ...this.value}, null, 1);
    save(new TextEncoder().encode(text), 'application/json', `${stem(this.title)}-timeline.json`);
  }

  async _read(input) {
    const [file] = input.files;
    input.value = '';
    try {
      this.load(JSON.parse(await file.text()));
      this.onchange?.();
    } catch (error) {
      this.say(error instanceof SyntaxError ? 'This file is no JSON.' : error.message);
    }
  }

  dispose() { this._listeners.abort(); }

  say(text) { this._find('timeline-note').textContent = text; }

  _edited() {
    this._show();
    this.onchange?.();
  }

  // ---- what is seen

  _show() {
    const {line} = this, chosen = Boolean(this.chosen);
    this._find('timeline-play').disabled = line.keys.length < 2;
    for (const id of ['key-set', 'key-remove']) this._find(id).disabled = !chosen;
    this._find('timeline-save').disabled = !line.keys.length;
    this._find('timeline-loop').setAttribute('aria-pressed', line.loop);
    this._find('speed').value = line.speed;
    this.span = Math.max(4, Math.ceil(line.end + 0.5));
    const time = this._find('time');
    time.max = this.span;
    this._handles = new Map(line.keys.map((key, i) => [key, this._handle(key, i)]));
    const focused = this._find('keys').querySelector(':focus');
    this._find('keys').replaceChildren(...this._handles.values());
    if (focused) this._handles.get(this.chosen)?.focus();
    this.say(!line.keys.length ? 'Make a face and add it; make another and add that, too.'
      : `${line.keys.length} keyframe${line.keys.length > 1 ? 's' : ''}, ${line.end.toFixed(1)} s`
        + (line.keys.length < 2 ? ': one more, and it plays.' : '.'));
    this._place();
  }

  _place() {
    const time = this._find('time');
    time.value = this.time;
    time.setAttribute('aria-valuetext', `${this.time.toFixed(1)} seconds`);
  }

  // A keyframe is a slider of its own: dragged along the strip, or moved by the arrow keys.
  _handle(key, i) {
    const handle = document.createElement('button');
    handle.className = 'key';
    const place = () => { handle.style.left = `${100 * key.time / this.span}%`; };
    for (const [name, value] of Object.entries({role: 'slider', 'aria-label': `Keyframe ${i + 1}`,
      'aria-valuemin': 0, 'aria-valuemax': this.span, 'aria-valuenow': key.time,
      'aria-valuetext': `${key.time.toFixed(1)} seconds`})) handle.setAttribute(name, value);
    handle.classList.toggle('chosen', key === this.chosen);
    place();
    const moved = time => {
      this.line.move(key, time);
      this.time = key.time;
      this.chosen = key;
    };
    handle.addEventListener('click', () => { this.play(false); this.go(key.time); });
    handle.addEventListener('keydown', event => {
      const by = {ArrowLeft: -STEP, ArrowRight: STEP, PageDown: -1, PageUp: 1}[event.key];
      if (by) { moved(key.time + by); this._edited(); }
      if (event.key === 'Delete' || event.key === 'Backspace') { this.chosen = key; this.remove(); }
      if (by || event.key === 'Delete' || event.key === 'Backspace') event.preventDefault();
    });
    handle.addEventListener('pointerdown', event => {
      this.play(false);
      handle.setPointerCapture(event.pointerId);
    });
    handle.addEventListener('pointermove', event => {
      if (!handle.hasPointerCapture(event.pointerId)) return;
      const {left, width} = this._find('keys').getBoundingClientRect();
      moved((event.clientX - left) / width * this.span);
      place();
      this._place();
    });
    handle.addEventListener('lostpointercapture', () => {   // also after a click without a move
      this.go(key.time);
      this.onchange?.();
    });
    return handle;
  }
}
