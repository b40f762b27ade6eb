// What happens before there is a picture: unzipping with a bar, and a word where nothing will come.

/** base64 -> bytes; a loop, since Uint8Array.from takes twenty times as long for megabytes. */
export function decoded(base64) {
  const text = atob(base64), out = new Uint8Array(text.length);
  for (let i = 0; i < out.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

/** gzip bytes -> ArrayBuffer. onprogress: takes the part that is done, 0 to 1. */
export async function inflate(bytes, onprogress) {
  if (typeof DecompressionStream === 'undefined')
    throw new Error('This browser is too old for this page. Any version since 2023 shows it.');
  const trailer = new DataView(bytes.buffer, bytes.byteOffset + bytes.byteLength - 4, 4);
  const out = new Uint8Array(trailer.getUint32(0, true));   // gzip ends with the size
  const reader = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip')).getReader();
  for (let at = 0; ;) {
    const {done, value} = await reader.read();
    if (done) return out.buffer;
    out.set(value, at);
    at += value.length;
    onprogress?.(at / out.length);
  }
}

/** Says why there is no picture; the poster stays. */
export function fail(root, state, error) {
  state.classList.remove('ready', 'face');
  state.classList.add('failed');
  root.querySelector('#message').textContent = error.message;
}
