// Runs: all of them, the queue, and several side by side.
import { ApiError, get, name as escaped } from './api.js';
import { Chart, palette, smoothed } from './charts.js';
import { Queue } from './queue.js';
import { decimal, duration, fill, h, pill, problem, say, sparkline, when } from './elements.js';

export async function runs(place, { query }) {
  const view = new RunsView(place, query);
  await view.fetch();
  const timer = setInterval(() => view.fetch().catch((error) => { if (!(error instanceof ApiError)) throw error; }), 3000);
  addEventListener('recolour', view.recolour);
  return () => { clearInterval(timer); removeEventListener('recolour', view.recolour); view.chart?.close(); };
}

const columns = [
  ['experiment_name', 'Name'], ['status', 'State'], ['current_step', 'Step', true], ['loss', 'Loss', true], ['best_loss', 'Best evaluation', true], ['learning_rate', 'Rate', true], ['changed_at', 'Changed'],
];
const metricNames = { loss: 'Loss of steps', evaluation: 'Validation loss' };

class RunsView {
  constructor(place, query) {
    this.place = place;
    this.chosen = new Set((query.get('compare') || '').split(',').filter(Boolean));
    this.sort = query.get('sort') || 'changed_at';
    this.isUp = query.get('up') === '1';
    this.weight = Number(query.get('smoothing') ?? 0.9);
    this.metric = metricNames[query.get('metrics')] ? query.get('metrics') : 'loss';
    this.recolour = () => this.chart?.again();
    this.wanted = query.get('with') || '';
    this.search = h('input', { type: 'search', id: 'with', value: this.wanted, oninput: () => { this.wanted = this.search.value; this.remember(); this.draw(); } });
    this.list = h('section', { class: 'card' });
    this.comparison = h('div', {});
    this.queue = new Queue(() => { this.last = undefined; return this.fetch(); });
    fill(place, h('h1', {}, 'Runs'), this.queue.part, this.list, this.comparison);
  }

  remember() {
    const query = new URLSearchParams({ sort: this.sort, ...(this.isUp ? { up: 1 } : {}), ...(this.wanted ? { with: this.wanted } : {}), ...(this.chosen.size ? { compare: [...this.chosen].join(','), metrics: this.metric, smoothing: this.weight } : {}) });
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
    if (this.drawnComparison !== [...this.chosen].join()) await this.compare();
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

  async compare() {
    const names = [...this.chosen];
    this.drawnComparison = names.join();
    if (names.length < 2) { this.chart?.close(); this.chart = undefined; return fill(this.comparison); }
    let all;
    try { all = await Promise.all(names.map(async (run) => ({ run, details: await get('experiments/' + escaped(run)), metrics: await get(`metrics?experiment=${escaped(run)}&limit=5000`) }))); } catch (error) { return fill(this.comparison, problem(error)); }
    if (this.drawnComparison !== names.join()) return;
    this.chart?.close();
    this.chart = new Chart('Compared', { large: true });
    const metric = h('select', { id: 'metric', onchange: () => { this.metric = metric.value; this.remember(); this.overlay(all); } }, Object.entries(metricNames).map(([value, text]) => h('option', { value }, text)));
    metric.value = this.metric;
    const range = h('input', { type: 'range', id: 'smoothing', min: 0, max: 0.99, step: 0.01, value: this.weight, oninput: () => { this.weight = Number(range.value); this.remember(); this.overlay(all); } });
    fill(this.comparison, h('section', { class: 'card' }, h('div', { class: 'row spread' }, h('h2', {}, 'Compared'), h('div', { class: 'row' }, h('label', { for: 'metric' }, 'Curve'), h('span', {}, metric), h('label', { for: 'smoothing' }, 'Smoothing'), h('span', {}, range))), this.chart.figure),
      h('section', { class: 'card' }, h('h2', {}, 'What they came to'), this.results(all)), h('section', { class: 'card' }, h('h2', {}, 'What differs in their configs'), this.differences(all)));
    this.overlay(all);
  }

  overlay(all) {
    const points = new Map();
    all.forEach(({ metrics }, index) => {
      const rows = this.metric === 'loss' ? metrics.metrics : metrics.evaluations;
      const values = this.metric === 'loss' ? smoothed(rows.map((row) => row.loss), this.weight) : rows.map((row) => row.loss);
      rows.forEach((row, i) => { if (!points.has(row.step)) points.set(row.step, Array(all.length).fill(null)); points.get(row.step)[index] = values[i]; });
    });
    const rows = [...points].sort((a, b) => a[0] - b[0]).map(([step, values]) => [step, ...values]);
    this.chart.caption.textContent = metricNames[this.metric] + (this.metric === 'loss' ? ', smoothed' : '');
    this.chart.show(rows, all.map(({ run }) => run), palette(all.length), { drawPoints: this.metric === 'evaluation' });
  }

  results(all) {
    const lines = [['State', ({ details }) => details.status], ['Steps', ({ details }) => details.current_step.toLocaleString()], ['Last loss', ({ metrics }) => decimal(metrics.metrics.at(-1)?.loss)],
      ['Best evaluation', ({ metrics }) => { const best = metrics.evaluations.reduce((a, b) => (!a || b.loss < a.loss ? b : a), null); return best ? `${decimal(best.loss)} after ${best.step}` : '–'; }],
      ['Time of steps', ({ details }) => duration(details.ledger.seconds)]];
    return this.matrix(all, lines.map(([text, value]) => [text, all.map(value)]));
  }

  differences(all) {
    const keys = Object.keys(all[0].details.config).filter((key) => !['experiment_name', 'output_path'].includes(key) && new Set(all.map(({ details }) => JSON.stringify(details.config[key]))).size > 1);
    if (!keys.length) return h('p', {}, 'Nothing: they differ in their names alone.');
    return this.matrix(all, keys.map((key) => [key, all.map(({ details }) => JSON.stringify(details.config[key]))]));
  }

  matrix(all, rows) {
    return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Compared' }, h('table', {}, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, h('span', { class: 'visually-hidden' }, 'What')), all.map(({ run }) => h('th', { scope: 'col' }, run)))),
      h('tbody', {}, rows.map(([text, cells]) => h('tr', {}, h('th', { scope: 'row' }, text), cells.map((cell) => h('td', {}, cell)))))));
  }
}
