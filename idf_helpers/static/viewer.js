// The exported page: reads the splats out of the page itself and ties the buttons to the view.
import {SplatView} from './splat.js';
import {OrbitControls} from './orbit.js';

const find = id => document.getElementById(id);

async function decode(base64) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  if (typeof DecompressionStream === 'undefined')
    throw new Error('This browser is too old for this page. Any version since 2023 shows it.');
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'));
  return new Response(stream).arrayBuffer();
}

function fail(error) {
  document.documentElement.classList.remove('ready');
  find('message').classList.add('failed');
  find('message').textContent = error.message;
}

async function start() {
  const page = JSON.parse(find('page').textContent);
  const root = document.documentElement.classList;
  const canvas = find('view');
  const lightOn = on => {
    root.toggle('light', on);
    document.querySelector('meta[name=color-scheme]').content = on ? 'light' : 'dark';
  };
  lightOn(page.background === 'white');
  const view = new SplatView(canvas, {footprint: page.footprint});
  view.setSplats(await decode(find('splats').textContent));
  find('splats').remove();
  const showTurning = on => find('turn').setAttribute('aria-pressed', on);
  const orbit = new OrbitControls(view, page.frame, {onchange: showTurning});
  showTurning(orbit.turning);
  canvas.view = view;                   // for scripts and tests
  canvas.orbit = orbit;

  const actions = {
    turn: () => orbit.setTurning(!orbit.turning),
    background: () => lightOn(!root.contains('light')),
    reset: () => { orbit.setTurning(false); orbit.reset(); },
    fullscreen: () => document.fullscreenElement ? document.exitFullscreen()
      : document.documentElement.requestFullscreen(),
  };
  for (const [id, action] of Object.entries(actions)) find(id).addEventListener('click', action);
  find('fullscreen').hidden = !document.fullscreenEnabled;
  addEventListener('keydown', event => {
    if (event.key === 'Tab') root.add('keys');                  // show where the focus is from now on
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'b') actions.background();
    if (event.key === 'f' && document.fullscreenEnabled) actions.fullscreen();
  });
  canvas.addEventListener('webglcontextlost', () => {
    find('message').textContent = 'The graphics card took a break. The picture comes back when it does.';
    root.remove('ready');
  });
  for (const type of ['pointerdown', 'wheel', 'keydown'])      // who has done it needs no help
    canvas.addEventListener(type, () => root.add('used'), {once: true, passive: true});
  view.onframe = () => root.add('ready');
  if (window === window.top) canvas.focus({preventScroll: true});  // not out of a notebook's cell
}

start().catch(fail);
