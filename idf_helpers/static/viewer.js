// The exported page: everything is in the page itself.
import {addressOf, keepAddress} from './address.js';
import {decoded, fail, inflate} from './loading.js';
import {mount} from './shell.js';

const root = document.documentElement;

async function start() {
  const take = id => document.getElementById(id);
  const data = await inflate(decoded(take('splats').textContent),
    part => { take('loading').value = part; });
  take('splats').remove();
  const page = JSON.parse(take('page').textContent);
  const {rig} = page;
  const shell = mount(document, root, {data, page, rig, stage: root,
    address: shell => addressOf(shell, rig)});
  keepAddress(shell, rig);
  if (window === window.top) shell.canvas.focus({preventScroll: true});  // not out of a notebook's cell
}

start().catch(error => fail(document, root, error));
