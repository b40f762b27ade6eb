// The page's address follows what is shown, and is followed: a link shows the same to somebody else.

import {read, written} from './link.js';

const PAUSE = 400;                     // ms between two writings; browsers stop who writes often

/** Ties a shell to the end of the address (link.js). */
export function keepAddress(shell, rig) {
  let timer = null;
  const apply = () => shell.apply(read(location.hash, rig));
  apply();
  shell.onstate = () => {
    timer ??= setTimeout(() => {
      timer = null;
      const fragment = written(shell.state(), rig);
      if (fragment === location.hash.slice(1)) return;
      // In the place of the last entry: the back button still leaves the page.
      try { history.replaceState(null, '', location.href.split('#')[0] + (fragment && `#${fragment}`)); }
      catch { /* a page inside of another document has no address */ }
    }, PAUSE);
  };
  window.addEventListener('hashchange', apply);
}

/** The address of what is shown now. */
export const addressOf = (shell, rig) => {
  const fragment = written(shell.state(), rig);
  return location.href.split('#')[0] + (fragment && `#${fragment}`);
};
