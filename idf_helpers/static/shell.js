// What the exported page and the notebook widget share: shell.html tied to a view.
//
//   const shell = mount(root, state, {data, page, rig, stage});
//
// root: document or shadow root that holds shell.html; state: the element that carries the classes
// ready, light, used, keys; data: packed splats; page: {frame, footprint, background, mark}; rig:
// what moves the face, or null; stage: what goes full screen. `view` may be something else that
// draws (the widget has one for browsers without WebGL2). address(shell): of what is shown, where
// the page has one.

import {captures} from './capture.js';
import {dialogs} from './dialogs.js';
import {FacePanel} from './face.js';
import {Gaze} from './gaze.js';
import {OrbitControls} from './orbit.js';
import {paint} from './paper.js';
import {SplatView} from './splat.js';
import {speak} from './spoken.js';
import {TimelineBar} from './timeline_bar.js';

const SAID = 8000;                     // ms that a message stays

export function mount(root, state, {data, page, rig = null, stage = state, view = null,
  address = () => null}) {
  const find = id => root.querySelector('#' + id);
  const canvas = find('view'), title = find('title').textContent;
  const listeners = new AbortController();
  const on = (target, type, handler, options = {}) =>
    target.addEventListener(type, handler, {signal: listeners.signal, ...options});
  const repaint = paper => {
    shell.paper = paper;
    paint(state, canvas.parentElement, paper);
    press('background', state.classList.contains('light'));
    shell.orbit?.stir();
    shell.onstate?.();
  };
  let fading = null;
  const say = text => {
    find('status').textContent = text;
    clearTimeout(fading);
    if (text) fading = setTimeout(() => say(''), SAID);
  };
  const press = (id, on) => find(id).setAttribute('aria-pressed', on);
  view ??= new SplatView(canvas, {footprint: page.footprint, watermark: page.watermark});
  try {
    if (data) view.setSplats(data);
  } catch (error) { view.dispose(); throw error; }      // browsers have few contexts
  const orbit = new OrbitControls(view, page.frame, {onchange: on => { press('turn', on);
    shell.onturn?.(on); }});
  press('turn', orbit.turning);
  const shell = {view, orbit, canvas, face: null, timeline: null, onturn: null, onstate: null,
    advance(seconds) {
      shell.face?.advance(seconds);
      shell.timeline?.advance(seconds);
    },
    state: () => stateOf(shell, paperOf(page)),
    apply: said => applyTo(shell, said, repaint),
    dispose() {
      listeners.abort();
      clearTimeout(fading);
      stop();
      for (const part of [shell.gaze, shell.timeline, shell.face, orbit, view]) part?.dispose();
    }};
  repaint(paperOf(page));
  if (rig) animate(shell, root, stage, rig, {title, press, find, on});
  orbit.ongoal = () => shell.onstate?.();
  speak(find('spoken'), orbit, on);

  const stop = captures(find, on, shell, {title, say,
    mark: () => document.querySelector('meta[name="idf:provenance"]')?.content ?? page.mark,
    look: () => {
      const style = getComputedStyle(find('view').parentElement);
      return {back: ['--glow', '--page'].map(name => style.getPropertyValue(name)),
        label: find('label')?.textContent ?? ''};
    }});
  dialogs(find, on, {title, address: () => address(shell), repaint, plate: canvas.parentElement});
  const actions = {
    turn: () => orbit.setTurning(!orbit.turning),
    background: () => repaint(state.classList.contains('light') ? 'dark' : 'light'),
    reset: () => { orbit.setTurning(false); orbit.reset(); },
    fullscreen: () => document.fullscreenElement ? document.exitFullscreen()
      : stage.requestFullscreen(),
  };
  for (const [id, action] of Object.entries(actions)) on(find(id), 'click', action);
  find('fullscreen').hidden = !document.fullscreenEnabled;
  const buttons = {b: 'background', c: 'picture', r: 'video', f: 'fullscreen', s: 'share', '?': 'help-open',
    ...rig && {p: 'play', n: 'neutral', l: 'look', t: 'timeline-play'}};
  on(stage === document.documentElement ? window : stage, 'keydown', event => {
    if (event.key === 'Tab') state.classList.add('keys');       // show where the focus is from now on
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;   // held: once
    const {type} = event.composedPath()[0];
    if (type === 'search' || type === 'select-one') return;     // somebody is typing
    const button = buttons[event.key] && find(buttons[event.key]);
    if (button && !button.hidden) button.click();
    if (event.key === 'k' && rig) { shell.timeline.open(true); shell.timeline.add(); }
  });
  on(canvas, 'webglcontextlost', () => {
    find('message').textContent = 'The graphics card took a break. The picture comes back when it does.';
    state.classList.remove('ready');
  });
  for (const type of ['pointerdown', 'wheel', 'keydown'])      // who has done it needs no help
    on(canvas, type, () => state.classList.add('used'), {once: true, passive: true});
  // Ready is what has been drawn, not what was asked for: a slow machine keeps the poster until then.
  const shown = () => {
    if (!view.idle) { requestAnimationFrame(shown); return; }
    find('loading').hidden = true;
    state.classList.add('ready');
  };
  view.onframe = () => { if (!state.classList.contains('ready')) shown(); };
  canvas.view = view;                   // for scripts and tests
  canvas.orbit = orbit;
  canvas.face = shell.face;
  canvas.timeline = shell.timeline;
  canvas.gaze = shell.gaze;
  return shell;
}

// What moves a face: sliders, the recorded track, the timeline, the pointer; one at a time.
function animate(shell, root, stage, rig, {title, press, find, on}) {
  const {orbit, view} = shell;
  const playing = (which, on) => {
    if (on && which !== shell.face) shell.face.play(false);
    if (on && which !== shell.timeline) shell.timeline.play(false);
    orbit.busy = on;
    orbit.stir();
    tell();
  };
  const tell = () => shell.onstate?.();
  const face = shell.face = new FacePanel(root, rig, {
    onchange(weights, quiet) {
      view.setWeights(weights);
      orbit.stir();
      if (!quiet) tell();
    },
    onplay: on => playing(face, on), onhand: () => shell.timeline.play(false)});
  const timeline = shell.timeline = new TimelineBar(root, face, {title, onchange: tell,
    onplay: on => playing(timeline, on)});
  const ways = rig.gaze;
  find('look').hidden = !ways;
  if (ways) {
    const gaze = shell.gaze = new Gaze(stage, orbit, face, ways);
    on(find('look'), 'click', () => { gaze.set(!gaze.on); press('look', gaze.on); });
  }
  if (rig.start) view.setWeights(face.weights());
  orbit.onstep = seconds => {
    shell.advance(seconds);
    shell.gaze?.step(seconds);
  };
}

const paperOf = page => page.background === 'white' ? 'light' : 'dark';

// Only what differs from the start: an address that says nothing else stays short.
function stateOf({orbit, face, timeline, gaze, paper}, first) {
  const {goal, start} = orbit, out = {};
  const moved = ['yaw', 'pitch', 'distance'].some(name => Math.abs(goal[name] - start[name]) > 1e-3);
  const panned = goal.center.some((x, k) => Math.abs(x - start.center[k]) > 1e-3 * start.distance);
  if ((moved || panned) && !orbit.turning && !gaze?.on) {
    out.view = {yaw: goal.yaw % (2 * Math.PI), pitch: goal.pitch, distance: goal.distance / start.distance,
      ...panned ? {center: goal.center} : {}};
  }
  if (face && !face.playing && !timeline.playing
      && face.value.some((x, e) => Math.abs(x - face.start[e]) > 5e-4)) out.face = face.value;
  if (paper !== first) out.paper = paper;
  if (timeline?.line.keys.length) out.time = timeline.line;
  if (timeline?.playing) out.play = true;
  return out;
}

function applyTo({orbit, face, timeline}, {view, face: expression, paper, time, play}, repaint) {
  if (view) {
    orbit.setTurning(false);
    orbit.setView({...view, distance: view.distance * orbit.start.distance}, {jump: true});
  }
  if (paper) repaint(paper);
  if (time) timeline.load(time);
  if (expression) { face.play(false); timeline.play(false); face.set(expression, {quiet: true}); }
  if (play && !matchMedia('(prefers-reduced-motion: reduce)').matches) timeline.play(true);
  orbit.stir();
}
