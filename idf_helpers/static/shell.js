// What the exported page and the notebook widget share: shell.html tied to a view.
//
//   const shell = mount(root, state, {data, page, rig, stage});
//
// root: document or shadow root that holds shell.html; state: the element that carries the classes
// ready, light, used, keys; data: packed splats; page: {frame, footprint, background}; rig: what
// moves the face, or null; stage: what goes full screen. `view` may be something else that draws
// (the widget has one for browsers without WebGL2).

import {SplatView} from './splat.js';
import {OrbitControls} from './orbit.js';
import {FacePanel} from './face.js';

/** gzip bytes -> ArrayBuffer. */
export async function inflate(bytes) {
  if (typeof DecompressionStream === 'undefined')
    throw new Error('This browser is too old for this page. Any version since 2023 shows it.');
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Response(stream).arrayBuffer();
}

/** Says in the middle of the page why there is no picture. */
export function fail(root, state, error) {
  state.classList.remove('ready');
  root.querySelector('#message').classList.add('failed');
  root.querySelector('#message').textContent = error.message;
}

export function mount(root, state, {data, page, rig = null, stage = state, view = null}) {
  const find = id => root.querySelector('#' + id);
  const canvas = find('view');
  const listeners = new AbortController();
  const on = (target, type, handler, options = {}) =>
    target.addEventListener(type, handler, {signal: listeners.signal, ...options});
  const lightOn = on => {
    state.classList.toggle('light', on);
    document.querySelector('meta[name=color-scheme]')?.setAttribute('content', on ? 'light' : 'dark');
  };
  lightOn(page.background === 'white');
  view ??= new SplatView(canvas, {footprint: page.footprint});
  if (data) view.setSplats(data);
  const showTurning = on => find('turn').setAttribute('aria-pressed', on);
  const orbit = new OrbitControls(view, page.frame, {onchange: on => { showTurning(on);
    shell.onturn?.(on); }});
  showTurning(orbit.turning);
  let face = null;
  const shell = {view, orbit, canvas, face: null, onturn: null, onexpression: null,
    dispose() { listeners.abort(); face?.dispose(); orbit.dispose(); view.dispose(); }};
  if (rig) {
    face = shell.face = new FacePanel(root, rig, {
      onchange(weights, quiet) {
        view.setWeights(weights);
        orbit.stir();
        if (!quiet) shell.onexpression?.(face.value, face.playing);
      },
      onplay(playing) {
        orbit.busy = playing;
        orbit.stir();
        if (!playing) shell.onexpression?.(face.value, false);
      }});
    orbit.onstep = seconds => face.advance(seconds);
    state.classList.add('face');
  }

  const actions = {
    turn: () => orbit.setTurning(!orbit.turning),
    background: () => { lightOn(!state.classList.contains('light')); orbit.stir(); },
    reset: () => { orbit.setTurning(false); orbit.reset(); },
    fullscreen: () => document.fullscreenElement ? document.exitFullscreen()
      : stage.requestFullscreen(),
  };
  for (const [id, action] of Object.entries(actions)) on(find(id), 'click', action);
  find('fullscreen').hidden = !document.fullscreenEnabled;
  on(stage === document.documentElement ? window : stage, 'keydown', event => {
    if (event.key === 'Tab') state.classList.add('keys');       // show where the focus is from now on
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.composedPath()[0].type === 'search') return;      // somebody is typing
    if (event.key === 'b') actions.background();
    if (event.key === 'f' && document.fullscreenEnabled) actions.fullscreen();
    if (event.key === 'p') face?.play(!face.playing);
    if (event.key === 'n' && face) find('neutral').click();
  });
  on(canvas, 'webglcontextlost', () => {
    find('message').textContent = 'The graphics card took a break. The picture comes back when it does.';
    state.classList.remove('ready');
  });
  for (const type of ['pointerdown', 'wheel', 'keydown'])      // who has done it needs no help
    on(canvas, type, () => state.classList.add('used'), {once: true, passive: true});
  view.onframe = () => state.classList.add('ready');
  canvas.view = view;                   // for scripts and tests
  canvas.orbit = orbit;
  canvas.face = face;
  return shell;
}
