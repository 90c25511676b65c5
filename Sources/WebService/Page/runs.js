// Runs: all of them, the queue, and several side by side.
import { ApiError, get, name as escaped } from './api.js';
import { Comparison } from './compared.js';
import { Queue } from './queue.js';
import { decimal, fill, h, pill, sparkline, when } from './elements.js';

export async function runs(place, { query }) {
  const view = new RunsView(place, query);
  await view.fetch();
  const timer = setInterval(() => view.fetch().catch((error) => { if (!(error instanceof ApiError)) throw error; }), 3000);
  addEventListener('recolour', view.recolour);
  return () => { clearInterval(timer); removeEventListener('recolour', view.recolour); view.comparison.close(); };
}

const columns = [
  ['experiment_name', 'Name'], ['status', 'State'], ['current_step', 'Step', true], ['loss', 'Loss', true], ['best_loss', 'Best evaluation', true], ['learning_rate', 'Rate', true], ['changed_at', 'Changed'],
];

class RunsView {
  constructor(place, query) {
    this.place = place;
    this.chosen = new Set((query.get('compare') || '').split(',').filter(Boolean));
    this.sort = query.get('sort') || 'changed_at';
    this.isUp = query.get('up') === '1';
    this.comparison = new Comparison(query, () => this.remember());
    this.recolour = () => this.comparison.again();
    this.wanted = query.get('with') || '';
    this.search = h('input', { type: 'search', id: 'with', value: this.wanted, oninput: () => { this.wanted = this.search.value; this.remember(); this.draw(); } });
    this.list = h('section', { class: 'card' });
    this.queue = new Queue(() => { this.last = undefined; return this.fetch(); });
    fill(place, h('h1', {}, 'Runs'), this.queue.part, this.list, this.comparison.part);
  }

  remember() {
    const query = new URLSearchParams({ sort: this.sort, ...(this.isUp ? { up: 1 } : {}), ...(this.wanted ? { with: this.wanted } : {}), ...(this.chosen.size ? { compare: [...this.chosen].join(','), metrics: [...this.comparison.metrics].join(','), smoothing: this.comparison.weight } : {}) });
    history.replaceState(null, '', '#/runs?' + query);
  }

  async fetch() {
    const { experiments, waiting } = await get('experiments');
    const text = JSON.stringify([experiments, waiting]);
    if (text === this.last) return;
    this.last = text;
    Object.assign(this, { experiments, waiting });
    this.queue.show(waiting, new Map(experiments.map((one) => [one.experiment_name, one])));
    this.draw();
    await this.compare();
  }

  draw() {
    if (!this.experiments.length) {
      return fill(this.list, h('div', { class: 'empty' }, h('p', {}, 'No run is there yet.'), h('a', { class: 'button primary', href: '#/new' }, 'New run')));
    }
    const focused = document.activeElement?.id;
    const word = this.wanted.trim().toLowerCase();
    const sorted = this.experiments.filter((one) => !word || [one.experiment_name, ...(one.tags ?? [])].some((text) => text.toLowerCase().includes(word))).sort((a, b) => {
      const [x, y] = [a[this.sort] ?? '', b[this.sort] ?? ''];
      const order = typeof x === 'number' && typeof y === 'number' ? x - y : String(x).localeCompare(String(y));
      return this.isUp ? order : -order;
    });
    const head = columns.map(([key, text, num]) => h('th', { scope: 'col', class: num && 'num', 'aria-sort': this.sort === key ? (this.isUp ? 'ascending' : 'descending') : null },
      h('button', { type: 'button', id: 'sort-' + key, onclick: () => { this.isUp = this.sort === key ? !this.isUp : false; this.sort = key; this.remember(); this.draw(); } }, text, this.sort === key ? (this.isUp ? ' ▲' : ' ▼') : '')));
    fill(this.list, h('div', { class: 'row spread' }, h('p', { class: 'faint' }, 'Tick two or more to compare them.'), h('div', {}, h('label', { for: 'with' }, 'Show names and tags with'), this.search)), h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Runs' }, h('table', {}, h('caption', { class: 'visually-hidden' }, 'Runs'),
      h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, h('span', { class: 'visually-hidden' }, 'Compare')), head, h('th', { scope: 'col' }, 'Curve'), h('th', { scope: 'col' }, h('span', { class: 'visually-hidden' }, 'Actions')))),
      h('tbody', {}, sorted.map((one) => this.row(one))))));
    if (focused) document.getElementById(focused)?.focus();
  }

  row(one) {
    const run = one.experiment_name;
    const box = h('input', { type: 'checkbox', id: 'compare-' + run, 'aria-label': `Compare ${run}`, onchange: () => { if (box.checked) this.chosen.add(run); else this.chosen.delete(run); this.remember(); this.compare(); } });
    box.checked = this.chosen.has(run);
    const place = this.waiting.indexOf(run);
    return h('tr', {}, h('td', {}, box), h('td', {}, h('a', { href: '#/run/' + escaped(run) }, run), (one.tags ?? []).map((tag) => h('span', { class: 'tag' }, tag))),
      h('td', {}, pill(one.status), place >= 0 ? h('span', { class: 'faint' }, ` ${place + 1}.`) : null),
      h('td', { class: 'num' }, `${one.current_step.toLocaleString()} / ${one.total_steps?.toLocaleString() ?? '–'}`), h('td', { class: 'num' }, decimal(one.loss)), h('td', { class: 'num' }, decimal(one.best_loss)),
      h('td', { class: 'num' }, decimal(one.learning_rate)), h('td', {}, when(one.changed_at)), h('td', {}, sparkline(one.sparkline)),
      h('td', {}, h('div', { class: 'actions' }, h('a', { class: 'button small', href: '#/new?from=' + escaped(run), 'aria-label': `Duplicate ${run}` }, 'Duplicate'))));
  }

  compare() { return this.comparison.show([...this.chosen], this.experiments); }
}
