// The dialogs over the page: what keys and gestures do, and how to show it elsewhere. They are the
// browser's own: it keeps the focus inside and closes them with Escape.

import {escaped} from './marks.js';

/** A copy that also works where a page may not use the clipboard by itself. */
async function copy(field) {
  field.select();
  try {
    await navigator.clipboard.writeText(field.value);
  } catch {
    if (!document.execCommand('copy')) return 'Press Ctrl+C (⌘C) now.';
  }
  return 'Copied.';
}

/** Ties the dialogs to their buttons. address(): of what is shown now, or null where the page has
 *  none of its own (a notebook's cell). repaint(paper), plate: the element with the page's colors. */
export function dialogs(find, on, {title, address, repaint, plate}) {
  const fill = () => {
    const url = address();
    find('share-link').value = url;
    find('share-frame').value = `<iframe src="${escaped(url)}" title="${escaped(title)}" width="640" `
      + 'height="480" style="border:0" loading="lazy" allow="fullscreen; clipboard-write"></iframe>';
    return url;
  };
  const open = id => {
    if (id === 'share-dialog') {
      const url = fill();
      find('share-color').value = getComputedStyle(plate).getPropertyValue('--page').trim()
        .replace(/^#(.)(.)(.)$/, '#$1$1$2$2$3$3');
      find('share-note').textContent = url.startsWith('http') ? ''
        : 'This page is a file on your computer. Put it on a web server first, then take its address from there.';
      find('share-said').textContent = '';
    }
    find(id).showModal();
    find(id).querySelector('.close').focus();
  };
  for (const id of ['help-dialog', 'share-dialog']) {
    on(find(id), 'click', event => {                       // beside it, or its button
      if (event.target === find(id) || event.target.closest('.close')) find(id).close();
    });
    on(find(id), 'keydown', event => event.stopPropagation());   // letters in it are no commands
  }
  on(find('help-open'), 'click', () => open('help-dialog'));
  on(find('share'), 'click', () => open('share-dialog'));
  find('share').hidden = !address();
  on(find('share-color'), 'input', event => { repaint(event.target.value.slice(1)); fill(); });
  for (const id of ['share-link', 'share-frame'])
    on(find(`${id}-copy`), 'click', async () => { find('share-said').textContent = await copy(find(id)); });
}

