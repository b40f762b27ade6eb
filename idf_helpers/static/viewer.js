// The exported page: everything is in the page itself.
import {fail, inflate, mount} from './shell.js';

const root = document.documentElement;

async function start() {
  const take = id => document.getElementById(id);
  const text = atob(take('splats').textContent);
  const data = await inflate(Uint8Array.from(text, c => c.charCodeAt(0)));
  take('splats').remove();
  const page = JSON.parse(take('page').textContent);
  const {canvas} = mount(document, root, {data, page, rig: page.rig, stage: root});
  if (window === window.top) canvas.focus({preventScroll: true});  // not out of a notebook's cell
}

start().catch(error => fail(document, root, error));
