// The two buttons that make a file of what is shown: a picture, and one turn as a video.

import {picture, save, stem} from './snapshot.js';
import {encoderFor, record} from './video.js';

/** Ties the buttons. shell: with view, orbit, advance; look(): colors and label to draw with; mark():
 *  the page's own; say(text): tells how far it is. Returns what ends a recording. */
export function captures(find, on, shell, {title, look, mark, say}) {
  let recording = null;
  const told = async work => {
    try { await work(); } catch (error) { say(error.message); }
  };
  const actions = {
    picture: () => told(async () => {
      save(await picture(shell.view, look(), mark()), 'image/png', `${stem(title)}.png`);
      say(look().label ? `Saved, with “${look().label}” in the corner.` : 'Saved.');
    }),
    video: () => recording ? recording.abort() : told(async () => {
      recording = new AbortController();
      find('video').setAttribute('aria-pressed', true);
      try {
        const bytes = await record({view: shell.view, orbit: shell.orbit, look: look(), mark: mark(),
          advance: seconds => shell.advance(seconds), signal: recording.signal,
          onprogress: part => say(`Recording ${Math.floor(100 * part)} %. The button stops it.`)});
        if (bytes) save(bytes, 'video/webm', `${stem(title)}.webm`);
        say(!bytes ? 'Stopped: nothing was saved.' : look().label
          ? `Saved, with “${look().label}” in the corner.` : 'Saved.');
      } finally {
        recording = null;
        find('video').setAttribute('aria-pressed', false);
      }
    }),
  };
  on(find('picture'), 'click', actions.picture);
  on(find('video'), 'click', actions.video);
  if (shell.view.capture) encoderFor(640, 480).then(found => { find('video').hidden = !found; });
  else find('picture').hidden = true;
  return () => recording?.abort();
}
