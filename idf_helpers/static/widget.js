// The notebook widget (anywidget): shell.html in a shadow root, tied to the kernel's traits.
//
// Traits of view/splat_viewer.py: data (packed splats, gzip), page, rig, html; camera, expression
// and turning go both ways; picture is what the kernel rendered for a browser without WebGL2.
// Settings travel to the kernel when the hand rests, at most SENDS times a second before.
import {fail, inflate} from './loading.js';
import {mount} from './shell.js';

const SENDS = 8;
const DEGREE = Math.PI / 180;

/** Stands in for SplatView where there is no WebGL2: the kernel draws, one picture at a time. */
class KernelView {
  constructor(canvas, model, state) {
    this.model = model;
    this.state = state;
    this.quality = 1;
    this.onframe = null;
    this.canvas = document.createElement('img');
    this.canvas.id = 'view';
    this.canvas.tabIndex = 0;
    this.canvas.draggable = false;
    this.canvas.alt = canvas.getAttribute('aria-label');
    canvas.replaceWith(this.canvas);
    this._request = null;
    this._shown = () => this._show();
    model.on('change:picture', this._shown);
  }

  get idle() { return !this._waiting || performance.now() - this._waiting > 5000; }

  setSplats() {}
  setWeights() { this.requestRender(); }
  setCamera() {}

  requestRender() {
    this._request ??= requestAnimationFrame(() => { this._request = null; this.render(); });
  }

  render() {
    const {yaw, pitch, distance, center} = this.canvas.orbit?.now ?? {};
    if (yaw === undefined) return;
    const expression = this.canvas.face ? [...this.canvas.face.value] : null;
    const light = this.state.classList.contains('light');
    const wanted = {yaw, pitch, distance, center, expression, light}, text = JSON.stringify(wanted);
    if (text === this._wanted) return;
    this._wanted = text;
    this._waiting = performance.now();
    this.model.send({draw: wanted});
  }

  dispose() {
    cancelAnimationFrame(this._request);
    this.model.off('change:picture', this._shown);
    URL.revokeObjectURL(this.canvas.src);
  }

  _show() {
    const bytes = this.model.get('picture');
    if (!bytes?.byteLength) return;
    this._waiting = 0;
    URL.revokeObjectURL(this.canvas.src);
    this.canvas.src = URL.createObjectURL(new Blob([bytes], {type: 'image/jpeg'}));
    this.onframe?.();
  }
}

const kindOf = rig => !rig ? '' : rig.kind === 'style' ? 'face style' : 'face';

function bytesOf(view) { return new Uint8Array(view.buffer, view.byteOffset, view.byteLength); }

async function render({model, el}) {
  const host = document.createElement('div');
  host.dataset.lmSuppressShortcuts = 'true';   // JupyterLab: keys in here are no commands
  el.append(host);
  const root = host.attachShadow({mode: 'open'});
  const page = document.createElement('div'), style = document.createElement('style');
  page.className = `page cell ${kindOf(model.get('rig'))}`;
  page.style.height = `${model.get('height')}px`;
  page.innerHTML = model.get('html');
  style.textContent = STYLE;
  root.append(style, page);
  for (const type of ['keydown', 'keypress', 'keyup'])  // nor in the classic notebook
    host.addEventListener(type, event => event.stopPropagation());
  const settings = {...model.get('page'), background: model.get('background')};
  const options = {page: settings, rig: model.get('rig'), stage: page};
  let shell;
  try {
    const data = await inflate(bytesOf(model.get('data')),
      part => { root.querySelector('#loading').value = part; });
    shell = mount(root, page, {...options, data});
  } catch (error) {
    const line = document.createElement('p');
    line.id = 'notice';
    line.textContent = `${error.message} Meanwhile the kernel draws the pictures.`;
    page.append(line);
    const view = new KernelView(root.querySelector('#view'), model, page);
    try {
      shell = mount(root, page, {...options, view});
    } catch (again) {
      fail(root, page, again);
      return;
    }
  }
  const listeners = tie(model, shell);
  return () => { for (const [name, handler] of listeners) model.off(name, handler); shell.dispose(); };
}

// Two-way: what came from the kernel is not sent back.
function tie(model, shell) {
  const {orbit, face, timeline} = shell;
  const sent = {};
  let timer = null;
  const states = {
    camera: {
      get() {
        const {yaw, pitch, distance, center} = orbit.goal;
        return {yaw: short(wrapped(yaw / DEGREE)), pitch: short(pitch / DEGREE),
          distance: short(distance / orbit.start.distance), center: center.map(short)};
      },
      set({yaw, pitch, distance, center}) {
        orbit.setTurning(false);
        orbit.setView({...yaw === undefined ? {} : {yaw: nearest(yaw * DEGREE, orbit.goal.yaw)},
          ...pitch === undefined ? {} : {pitch: pitch * DEGREE},
          ...distance === undefined ? {} : {distance: distance * orbit.start.distance},
          ...center ? {center: [...center]} : {}});
      },
    },
    turning: {get: () => orbit.turning, set: on => orbit.setTurning(on)},
  };
  if (face) {
    states.expression = {get: () => [...face.value].map(short),
      set: value => { face.play(false); face.set(value, {quiet: true}); }};
    states.timeline = {get: () => timeline.value,
      set: value => timeline.load(Object.keys(value).length ? value : {keys: []})};
  }
  const send = () => {
    timer = null;
    let changed = false;
    for (const [name, state] of Object.entries(states)) {
      if (name === 'camera' && orbit.turning) continue;   // the kernel need not hear of every step
      if (name === 'expression' && (face.playing || timeline.playing)) continue;
      const value = state.get(), text = JSON.stringify(value);
      if (text === sent[name]) continue;
      sent[name] = text;
      model.set(name, value);
      changed = true;
    }
    if (changed) model.save_changes();
  };
  const later = () => { timer ??= setTimeout(send, 1000 / SENDS); };
  const listeners = [];
  for (const [name, state] of Object.entries(states)) {
    const value = model.get(name);
    if (name === 'turning' || (value && Object.keys(value).length)) state.set(value);
    sent[name] = JSON.stringify(state.get());
    const handler = () => {
      const text = JSON.stringify(model.get(name));
      if (text === sent[name]) return;
      state.set(model.get(name));
      sent[name] = JSON.stringify(state.get());
    };
    model.on(`change:${name}`, handler);
    listeners.push([`change:${name}`, handler]);
  }
  shell.onturn = later;
  shell.onstate = later;
  return listeners;
}

const short = x => +x.toFixed(5);
const wrapped = degrees => degrees - 360 * Math.round(degrees / 360);
const nearest = (yaw, to) => yaw + 2 * Math.PI * Math.round((to - yaw) / (2 * Math.PI));

export default {render};
