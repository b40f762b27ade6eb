// The sliders of an avatar's expression, and the track that was recorded with it; or the one slider
// of a restyled head, from the original (0) to the style (1) and a little beyond.
//
//   const face = new FacePanel(root, rig, {onchange: weights => view.setWeights(weights)});
//
// root: where shell.html is; rig: what exporting/avatar_payload.py wrote: sliders, neutral (E), weights (E × K),
// presets ([title, E values]), perhaps a track and where it starts (E; else neutral). The expression is E numbers, the view takes K weights = (e − neutral) W.

import {decoded} from './loading.js';

export class FacePanel {
  constructor(root, rig, {onchange, onplay = null, onhand = null}) {
    this.rig = rig;
    this.onchange = onchange;
    this.onplay = onplay;               // called when the track starts or stops
    this.onhand = onhand;               // called when a hand chooses an expression
    this.gaze = new Map();              // coefficient -> value that stands in for the slider's
    this.start = rig.start ?? rig.neutral;
    this.value = Float32Array.from(this.start);
    this.playing = false;
    this._at = 0;                       // seconds into the track
    this._all = false;
    this._find = id => root.querySelector('#' + id);
    this._listeners = new AbortController();
    this._track = rig.track && decoded(rig.track.codes);
    const {sliders} = rig;
    const on = (id, type, handler) =>
      this._find(id).addEventListener(type, handler, {signal: this._listeners.signal});
    this._find('face').hidden = false;
    if (rig.kind === 'style') this._speakOfStyle();
    this._find('play').hidden = !rig.track;
    this._find('search').hidden = sliders.every(s => s.first);
    this._find('together').parentElement.hidden = sliders.every(s => s.members.length < 2);
    this._find('all').hidden = sliders.every(s => s.first);
    on('fold', 'click', () => this.fold(this._find('fold').getAttribute('aria-expanded') === 'true'));
    on('play', 'click', () => this.play(!this.playing));
    on('neutral', 'click', () => { this._hand(); this.set(rig.neutral); });
    on('search', 'input', () => this._list());
    on('together', 'change', () => this._list());
    on('all', 'click', () => { this._all = !this._all; this._list(); });
    const presets = rig.presets ?? [];
    this._find('presets').hidden = !presets.length;
    this._find('presets').replaceChildren(...presets.map(([title, values]) => {
      const button = element('button', title);
      button.addEventListener('click', () => { this._hand(); this.set(values); });
      return button;
    }));
    this._list();
  }

  /** Shows an expression, E numbers. */
  set(expression, {quiet = false} = {}) {
    this.value = Float32Array.from(expression);
    for (const row of this._rows) row.show();
    this._changed(quiet);
  }

  /** Coefficients that look somewhere, whatever the sliders say. */
  look(gaze) {
    this.gaze = gaze;
    this._changed(true);
  }

  fold(folded) {
    this._find('fold').setAttribute('aria-expanded', !folded);
    this._find('face').parentElement.classList.toggle('folded', folded);
  }

  play(playing) {
    if (!this._track || playing === this.playing) return;
    this.playing = playing;
    this._find('play').setAttribute('aria-pressed', playing);
    this.onplay?.(playing);
  }

  /** The track goes on by so many seconds: forth, and back again, so that it never jumps. */
  advance(seconds) {
    if (!this.playing) return;
    const {fps, frames, low, high} = this.rig.track;
    this._at += seconds;
    const last = frames - 1;
    const turn = last ? this._at * fps % (2 * last) : 0;
    const at = Math.min(turn, 2 * last - turn), k = Math.min(Math.floor(at), Math.max(0, last - 1));
    const n = this.value.length, code = this._track;
    this.set(Float32Array.from(low, (lo, e) => {
      const a = code[k * n + e], b = code[Math.min(last, k + 1) * n + e];
      return lo + (a + (b - a) * (at - k)) * (high[e] - lo) / 255;
    }));
  }

  weights() {
    const {bases, neutral, weights} = this.rig;
    const out = new Float32Array(bases);
    for (let e = 0; e < neutral.length; e++) {
      const off = (this.gaze.get(e) ?? this.value[e]) - neutral[e];
      if (off) for (let k = 0; k < bases; k++) out[k] += off * weights[e * bases + k];
    }
    return out;
  }

  dispose() { this._listeners.abort(); }

  _speakOfStyle() {
    this._find('fold').lastChild.data = 'Style';
    this._find('face').setAttribute('aria-label', 'Style');
    this._find('presets').setAttribute('aria-label', 'Before and after it was restyled');
    this._find('neutral').hidden = true;
  }

  _hand() {
    this.play(false);
    this.onhand?.();
  }

  _changed(quiet = false) { this.onchange(this.weights(), quiet); }

  // Which sliders are on show: the telling ones, all of them under headings, or what was searched.
  _list() {
    const {sliders} = this.rig;
    const words = this._find('search').value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    const together = this._find('together').checked;
    const found = text => words.every(w => text.toLowerCase().includes(w));
    const chosen = sliders.filter(s => words.length ? s.parts.some(p => found(`${p} ${s.label} ${s.group}`))
      : this._all || s.first);
    this._rows = [];
    const place = document.createDocumentFragment();
    const show = (s, title) => {
      if (title) place.append(element('h2', s.group));
      const parts = together || s.members.length < 2 ? [[s.label, s.members.map((_, j) => j)]]
        : s.parts.map((label, j) => [label, [j]]).filter(([label]) => found(`${label} ${s.group}`));
      for (const [label, which] of parts) place.append(this._row(s, label, which));
    };
    if (this._all && !words.length) {
      for (const group of new Set(chosen.map(s => s.group)))
        chosen.filter(s => s.group === group).forEach((s, j) => show(s, j === 0));
    } else chosen.forEach(s => show(s, false));
    if (!chosen.length) place.append(element('p', 'No expression of this name.'));
    this._find('sliders').replaceChildren(place);
    const all = this._find('all');
    all.hidden = words.length > 0 || sliders.every(s => s.first);
    all.textContent = this._all ? 'Fewer' : `All ${sliders.length} expressions`;
  }

  _row(slider, label, which) {
    const row = element('label'), input = element('input'), number = element('output');
    const members = which.map(j => slider.members[j]);
    input.type = 'range';
    input.setAttribute('aria-label', label);
    input.min = Math.min(...which.map(j => slider.low[j]));
    input.max = Math.max(...which.map(j => slider.high[j]));
    input.step = this.rig.kind === 'style' ? 0.01 : (input.max - input.min) / 200;
    row.show = () => {
      input.value = members.reduce((sum, m) => sum + this.value[m], 0) / members.length;
      number.textContent = (+input.value).toFixed(2);
    };
    input.addEventListener('input', () => {
      this._hand();
      for (const j of which)
        this.value[slider.members[j]] = Math.max(slider.low[j], Math.min(slider.high[j], +input.value));
      number.textContent = (+input.value).toFixed(2);
      this._changed();
    });
    input.addEventListener('dblclick', () => {      // back to rest, this one alone
      for (const j of which) this.value[slider.members[j]] = slider.start[j];
      row.show();
      this._changed();
    });
    row.append(element('span', label), input, number);
    row.show();
    this._rows.push(row);
    return row;
  }
}

function element(name, text = '') {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
