// What is shown, as the end of an address: #view=30,5,1.2&face=0:0.8,12:0.3&page=light&time=…&play=1
//
// A restyled head says style=0.5 in place of face.
//
// view: yaw and pitch in degrees, distance (1 = at the start), perhaps the center; face: coefficient
// : value for those that are not at rest; page: light, dark or a color's six digits; time: loop, speed, then a keyframe each: seconds|face.
// Whatever else stands there is passed over: numbers are bounded, nothing is ever shown as text.

import {isPaper} from './paper.js';
import {LONGEST, MOST} from './timeline.js';

const DEGREE = Math.PI / 180;
const TOO_LONG = 100000;               // characters; a full timeline of 100 coefficients has less

/** The fragment of a state {view: {yaw, pitch, distance, center}, face, paper, time, play}, without #. */
export function written({view, face, paper, time, play}, rig) {
  const parts = [];
  if (view) {
    const {yaw, pitch, distance, center} = view;
    parts.push(`view=${[yaw / DEGREE, pitch / DEGREE, distance, ...center ?? []].map(short)}`);
  }
  if (face) parts.push(rig.kind === 'style' ? `style=${short(face[0])}` : `face=${expression(face, rig)}`);
  if (paper) parts.push(`page=${paper}`);
  if (time?.keys.length) parts.push(`time=${[+time.loop, time.speed]};`
    + time.keys.map(key => `${short(key.time)}|${expression(key.values, rig)}`).join(';'));
  if (play) parts.push('play=1');
  return parts.join('&');
}

/** What a fragment says of a state: only what it says, and only what can be. */
export function read(fragment, rig) {
  const out = {};
  const text = fragment.replace(/^#/, '');
  if (text.length > TOO_LONG) return out;
  const said = new URLSearchParams(text);
  const view = numbers(said.get('view'), ',');
  if (view && (view.length === 3 || view.length === 6) && view[2] > 0) {
    const [yaw, pitch, distance, ...center] = view;
    out.view = {yaw: yaw % 360 * DEGREE, pitch: pitch * DEGREE, distance,
      ...center.length ? {center} : {}};
  }
  if (isPaper(said.get('page'))) out.paper = said.get('page');
  if (!rig) return out;
  const name = rig.kind === 'style' ? 'style' : 'face', told = said.get(name);
  const face = told !== null && values(name === 'style' ? `0:${told}` : told, rig);
  if (face) out.face = face;
  const [head, ...keys] = (said.get('time') ?? '').split(';');
  const settings = numbers(head, ',');
  const times = keys.map(key => {
    const [seconds, face] = key.split('|'), time = numbers(seconds, ',');
    return {time: time?.[0], values: values(face ?? '', rig)};
  });
  if (settings?.length === 2 && keys.length && keys.length <= MOST
      && times.every(key => key.time >= 0 && key.time <= LONGEST && key.values))
    out.time = {keys: times.map(key => ({...key, values: [...key.values]})), loop: settings[0] === 1,
      speed: settings[1]};
  if (said.get('play') === '1') out.play = true;
  return out;
}

function expression(face, rig) {
  return [...face].map((value, e) => [e, short(value)])
    .filter(([e, value]) => Math.abs(value - rig.neutral[e]) > 5e-4)
    .map(pair => pair.join(':')).join(',');
}

// E values from "coefficient:value,…", each kept in its slider's range; null for anything else.
function values(text, rig) {
  const out = Float32Array.from(rig.neutral);
  const ranges = new Map(rig.sliders.flatMap(({members, low, high}) =>
    members.map((member, j) => [member, [low[j], high[j]]])));
  const pairs = text ? text.split(',') : [];
  if (pairs.length > rig.neutral.length) return null;
  for (const pair of pairs) {
    const [at, value] = numbers(pair, ':') ?? [], range = ranges.get(at);
    if (!range || value === undefined) return null;
    out[at] = Math.max(range[0], Math.min(range[1], value));
  }
  return out;
}

function numbers(text, separator) {
  const parts = text ? text.split(separator) : [];
  const good = parts.length && parts.every(part => /^-?\d{1,9}(\.\d{1,9})?$/.test(part));
  return good ? parts.map(Number) : null;
}

const short = x => +x.toFixed(3);
