// Which view is shown: the part of the address behind #/, so that a reload and another browser show the same.
import { get, logOut } from './api.js';
import { fill, h, problem, say } from './elements.js';
import { newRun } from './newrun.js';
import { run } from './run.js';
import { runs } from './runs.js';
import { learn } from './learn.js';

const views = { new: newRun, run, runs, learn };
const titles = { new: 'New run', run: 'Run', runs: 'Runs', learn: 'Learn' };
const main = document.getElementById('main');
let leave = () => {};
let shown = 0;

export function address() {
  const [path, query] = location.hash.replace(/^#\/?/, '').split('?');
  const [view, ...rest] = path.split('/');
  return { view: views[view] ? view : 'run', rest: rest.map(decodeURIComponent), query: new URLSearchParams(query || '') };
}

async function show() {
  const turn = ++shown;
  const { view, rest, query } = address();
  leave();
  leave = () => {};
  for (const link of document.querySelectorAll('nav a')) {
    if (link.getAttribute('href') === '#/' + view) link.setAttribute('aria-current', 'page'); else link.removeAttribute('aria-current');
  }
  document.title = titles[view] + (rest[0] ? ' ' + rest[0] : '') + ' · Nested learning';
  const place = h('div', {});
  fill(main, place);
  try {
    const end = await views[view](place, { name: rest[0], query });
    if (turn === shown) leave = end || leave; else end?.();
  } catch (error) { fill(place, problem(error)); }
  say(titles[view]);
}

addEventListener('hashchange', () => { show(); main.focus({ preventScroll: true }); scrollTo(0, 0); });

// Colours: as the system, light, dark.
const themes = ['light dark', 'light', 'dark'], words = ['as the system', 'light', 'dark'], signs = ['◐', '○', '●'];
const button = document.getElementById('theme');
function theme(index) {
  document.documentElement.style.colorScheme = themes[index];
  button.textContent = signs[index];
  button.setAttribute('aria-label', 'Colours: ' + words[index]);
  button.title = 'Colours: ' + words[index];
  localStorage.setItem('nl-theme', index);
  dispatchEvent(new Event('recolour'));
}
let chosen = Number(localStorage.getItem('nl-theme')) || 0;
theme(chosen);
button.addEventListener('click', () => { chosen = (chosen + 1) % 3; theme(chosen); });
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => dispatchEvent(new Event('recolour')));

// Whoever has logged in with a token can log out.
const out = document.getElementById('logout');
get('session').then((session) => { out.hidden = !session.has_login; }).catch(() => {});
out.addEventListener('click', async () => { await logOut().catch(() => {}); location.href = '/login'; });

show();
