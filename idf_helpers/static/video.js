// One turn of the head as a video, made in the browser frame by frame (WebCodecs): a slow machine
// takes longer, and the video is as smooth.

import {derived, xmp} from './marks.js';
import {compose, sizeOf} from './snapshot.js';
import {webm} from './webm.js';

const LONGEST = 1280, FPS = 30, SECONDS = 6, KEY_EVERY = 30;   // frames
const CODECS = [['vp09.00.31.08', 'V_VP9'], ['vp8', 'V_VP8']];

/** The first codec that this browser writes, or null: then there is nothing to record with. */
export async function encoderFor(width, height) {
  for (const [codec, name] of typeof VideoEncoder === 'undefined' ? [] : CODECS) {
    const config = {codec, width, height, framerate: FPS, bitrate: 5 * width * height};
    const answer = await VideoEncoder.isConfigSupported(config).catch(() => null);
    if (answer?.supported) return {config, name};
  }
  return null;
}

/** WebM bytes of one turn, or sway, from where the head is now. advance(seconds): moves the face.
 *  onprogress(part), signal: to end it early, then null is returned. */
export async function record({view, orbit, look, mark, advance, onprogress, signal,
  seconds = SECONDS, fps = FPS}) {
  const [width, height] = sizeOf(view.canvas, LONGEST);
  const {config, name} = await encoderFor(width, height) ?? {};
  if (!config) throw new Error('This browser writes no video of this size. Make the window smaller.');
  const frames = [], canvas = document.createElement('canvas');
  let broken = null;
  const encoder = new VideoEncoder({error: error => { broken = error; }, output(chunk) {
    const data = new Uint8Array(chunk.byteLength);
    chunk.copyTo(data);
    frames.push({data, time: Math.round(chunk.timestamp / 1000), key: chunk.type === 'key'});
  }});
  encoder.configure(config);
  const count = Math.round(seconds * fps), release = orbit.hold();
  const start = orbit.clockAt(orbit.now.yaw);
  try {
    for (let i = 0; i < count && !signal?.aborted && !broken; i++) {
      orbit.now.yaw = orbit.yawAt(start + i / count * orbit.period);
      advance(1 / fps);
      view.setCamera(orbit.camera());
      compose(view.capture(width, height), width, height, look, canvas);
      const frame = new VideoFrame(canvas, {timestamp: Math.round(1e6 * i / fps)});
      encoder.encode(frame, {keyFrame: i % KEY_EVERY === 0});
      frame.close();
      onprogress?.((i + 1) / count);
      do await new Promise(done => setTimeout(done)); while (encoder.encodeQueueSize > 3 && !broken);
    }
    if (signal?.aborted) return null;
    if (!broken) await encoder.flush();
  } finally {
    if (encoder.state !== 'closed') encoder.close();
    release();
  }
  if (broken) throw new Error(`This browser could not write the video: ${broken.message}`);
  const said = derived(mark, 'a video');
  return webm(frames, {codec: name, width, height, duration: 1000 * count / fps, comment: said.text,
    packet: xmp(said)});
}
