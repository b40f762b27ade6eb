// A picture of what is shown, with the visible mark in its corner, as a file.

import {derived, markedPng} from './marks.js';

const LONGEST = 2048;      // pixels of a saved picture

/** What the page shows, at a size of its own, in a canvas for copying. source: anything with the
 *  picture; back: colors [glow, page] of the background; label: the visible mark, '' for none. */
export function compose(source, width, height, {back, label}, canvas = document.createElement('canvas')) {
  canvas.width = width;
  canvas.height = height;
  const pen = canvas.getContext('2d', {alpha: false});
  const light = pen.createRadialGradient(width / 2, 0.42 * height, 0, width / 2, 0.42 * height,
    0.75 * Math.max(width, height));
  light.addColorStop(0, back[0]);
  light.addColorStop(1, back[1]);
  pen.fillStyle = light;
  pen.fillRect(0, 0, width, height);
  pen.drawImage(source, 0, 0, width, height);
  if (label) stamp(pen, width, height, label);
  return canvas;
}

// Light on a dark plate, capitals at least 3 % of the height unless the words would not fit.
function stamp(pen, width, height, label) {
  let size = Math.max(12, 0.045 * height);
  const face = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif';
  const measure = () => { pen.font = `${size}px ${face}`; return pen.measureText(label).width; };
  size *= Math.min(1, width / (measure() + 3 * size));
  const wide = measure(), pad = 0.5 * size, edge = 0.6 * size, tall = 1.9 * size;
  pen.fillStyle = '#101214e0';
  pen.beginPath();
  pen.roundRect(edge, height - edge - tall, wide + 2 * pad, tall, 0.4 * size);
  pen.fill();
  pen.fillStyle = '#f5f6f7';
  pen.textBaseline = 'middle';
  pen.fillText(label, edge + pad, height - edge - tall / 2);
}

/** The size of the view in pixels of the screen, not above `longest`, even numbers. */
export function sizeOf(canvas, longest = LONGEST) {
  const {clientWidth: w, clientHeight: h} = canvas;
  const scale = Math.min(devicePixelRatio || 1, longest / Math.max(w, h));
  return [w, h].map(side => Math.max(2, 2 * Math.round(side * scale / 2)));
}

/** PNG bytes of the view as it is now, marked for eyes and for machines. */
export async function picture(view, look, mark) {
  const [width, height] = sizeOf(view.canvas);
  const canvas = compose(view.capture(width, height), width, height, look);
  const blob = await new Promise(done => canvas.toBlob(done, 'image/png'));
  return markedPng(new Uint8Array(await blob.arrayBuffer()), derived(mark, 'a picture'));
}

/** Hands a file to the person at the screen. */
export function save(bytes, type, name) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([bytes], {type}));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/** A title as the stem of a file's name. */
export const stem = title =>
  title.normalize('NFC').replace(/[^\p{L}\p{N}]+/gu, '-').replace(/^-+|-+$/g, '').slice(0, 60) || 'head';
