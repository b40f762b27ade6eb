// Encoded frames as a WebM file (Matroska, RFC 9559), with the mark as its comment tag.

import {joined} from './marks.js';

const EBML = 0x1A45DFA3, SEGMENT = 0x18538067, INFO = 0x1549A966, TRACKS = 0x1654AE6B,
  TAGS = 0x1254C367, CUES = 0x1C53BB6B, CLUSTER = 0x1F43B675;

/** frames: [{data: Uint8Array, time: ms, key: bool}], the first one a key frame. codec: V_VP8 or
 *  V_VP9. duration: ms. mark: its line, and packet, an XMP. Returns the bytes. */
export function webm(frames, {codec, width, height, duration, comment, packet}) {
  const text = s => new TextEncoder().encode(s);
  const head = element(EBML, element(0x4282, text('webm')), element(0x4287, number(4)),
    element(0x4285, number(2)));
  const info = element(INFO, element(0x2AD7B1, number(1e6)), element(0x4489, float(duration)),
    element(0x4D80, text('idf_helpers')), element(0x5741, text('idf_helpers')));
  const tracks = element(TRACKS, element(0xAE, element(0xD7, number(1)), element(0x73C5, number(1)),
    element(0x83, number(1)), element(0x86, text(codec)),
    element(0xE0, element(0xB0, number(width)), element(0xBA, number(height)))));
  const tag = (name, value) => element(0x67C8, element(0x45A3, text(name)), element(0x4487, text(value)));
  const tags = element(TAGS, element(0x7373, element(0x63C0), tag('COMMENT', comment), tag('XMP', packet)));
  const groups = [];
  for (const frame of frames) if (frame.key) groups.push([frame]); else groups.at(-1).push(frame);
  const clusters = groups.map(group => element(CLUSTER, element(0xE7, number(group[0].time)),
    ...group.map(({data, time, key}) => {
      const offset = time - group[0].time;
      return element(0xA3, Uint8Array.of(0x81, offset >> 8, offset & 255, key ? 0x80 : 0), data);
    })));
  // Where each cluster is, counted from the start of the segment's content; the list before them is
  // as long whatever it says.
  const cues = starts => element(CUES, ...groups.map((group, k) => element(0xBB,
    element(0xB3, fixed(group[0].time)),
    element(0xB7, element(0xF7, number(1)), element(0xF1, fixed(starts[k]))))));
  let at = info.length + tracks.length + tags.length + cues(groups.map(() => 0)).length;
  const starts = clusters.map(cluster => (at += cluster.length) - cluster.length);
  return joined([head, element(SEGMENT, info, tracks, tags, cues(starts), ...clusters)]);
}

// An element: its name, the size of what is in it (8 bytes), and that.
function element(id, ...parts) {
  const size = parts.reduce((sum, part) => sum + part.length, 0);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, (1n << 56n) | BigInt(size));
  return joined([bytesOf(id), length, ...parts]);
}

const number = value => bytesOf(Math.round(value));
const fixed = value => Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value);

function bytesOf(value) {
  const out = [];
  for (let v = value; v >= 1 || !out.length; v = Math.floor(v / 256)) out.unshift(v % 256);
  return Uint8Array.from(out);
}

function float(value) {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setFloat64(0, value);
  return out;
}
