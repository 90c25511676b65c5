// Several runs side by side: curves over each other, what they came to, and what differs in their configs.
import { ApiError, get, name as escaped } from './api.js';
import { Chart, palette, smoothed } from './charts.js';
import { bytes, decimal, duration, fill, h, problem } from './elements.js';
import { Metrics } from './metrics.js';

// Those of tiers, in an order in which neighbours are easily told apart.
const colors = (count) => { const all = palette(6); return Array.from({ length: count }, (_, i) => all[[2, 0, 5, 3, 4, 1][i % 6]]); };
const sum = (list) => (list || []).reduce((a, b) => a + b, 0);
const own = (key) => (row) => row[key];
const evaluated = { isEvaluated: true, drawPoints: true, pointSize: 3 };

// Of each tier, or task, that a run has: `parts` are their names in the address and in words.
const tiers = (key, value = (row, tier) => row[key]?.[tier]) => ({ value, parts: ({ rows }) => Array.from({ length: Math.max(0, ...rows.map((row) => row[key]?.length ?? 0)) }, (_, tier) => [tier, `tier ${tier}`]) });
const tasks = (key) => ({ value: (one, task) => one.tasks?.[task]?.[key], parts: ({ rows, evaluations }) => Object.keys((rows.find((row) => row.tasks) ?? evaluations.find((one) => one.tasks))?.tasks ?? {}).map((task) => [task, task]) });

// What the view of a run has curves of, as one line of each run.
const kinds = [
  { key: 'loss', title: 'Loss of steps', value: own('loss'), isSmoothed: true },
  { key: 'evaluation', title: 'Validation loss', value: own('loss'), ...evaluated },
  { key: 'accuracy', title: 'Share of tokens that are right, at evaluations', value: own('accuracy'), ...evaluated },
  { key: 'rate', title: 'Learning rate', value: own('learning_rate') },
  { key: 'norm', title: 'Gradient norm before clipping', value: own('grad_norm'), isSmoothed: true, logscale: true },
  { key: 'rate-tier', title: 'Learning rate of', ...tiers('tier_learning_rates') },
  { key: 'norm-tier', title: 'Gradient norm before clipping of', ...tiers('tier_grad_norms', (row, tier) => (row.active_tiers.includes(tier) ? row.tier_grad_norms[tier] : null)), isSmoothed: true, logscale: true },
  { key: 'drift-tier', title: 'Drift of', ...tiers('tier_drift') },
  { key: 'divergence', title: 'KL divergence from the base model', value: own('kl_to_base'), isSmoothed: true },
  { key: 'objective', title: 'What is minimized', value: own('objective'), isSmoothed: true },
  { key: 'replay', title: 'Loss of what is rehearsed', value: own('replay_loss'), isSmoothed: true },
  { key: 'penalty', title: 'Weight penalty', value: own('weight_penalty'), isSmoothed: true },
  { key: 'difficulty', title: 'Difficulty of the rows', value: own('sampled_difficulty'), isSmoothed: true },
  { key: 'domains', title: 'Share of rows whose domain the discriminator tells', value: own('domain_accuracy'), isSmoothed: true },
  { key: 'domain-loss', title: 'Cross entropy of the rows\u2019 domains', value: own('domain_loss'), isSmoothed: true },
  { key: 'task-loss', title: 'Loss of', ...tasks('loss'), isSmoothed: true },
  { key: 'task-weight', title: 'What the loss weighs of', ...tasks('weight'), isSmoothed: true },
  { key: 'task-evaluation', title: 'Validation loss of', ...tasks('loss'), ...evaluated },
  { key: 'task-accuracy', title: 'Accuracy at evaluations of', ...tasks('accuracy'), ...evaluated },
  { key: 'task-f1', title: 'Macro F1 at evaluations of', ...tasks('f1'), ...evaluated },
  { key: 'speed', title: 'Trained tokens a second', value: own('tokens_per_second'), isSmoothed: true },
  { key: 'down', title: 'Bytes a step to workers', value: ({ traffic }) => traffic && sum(traffic.parameters_down) + sum(traffic.chains_down), isSmoothed: true, format: bytes },
  { key: 'up', title: 'Bytes a step from workers', value: ({ traffic }) => traffic && sum(traffic.boundary_up) + sum(traffic.flush_up) + sum(traffic.other_up), isSmoothed: true, format: bytes },
  { key: 'memory', title: 'Memory of the coordinator', value: (row) => row.memory?.coordinator, format: bytes },
  { key: 'worker-memory', title: 'Memory of the workers together', value: (row) => row.memory?.workers, format: bytes },
];

const pointsOf = (curve, run) => (curve.isEvaluated ? run.evaluations : run.rows);

// The curves that any of the runs has something for, each with a name for the address.
function available(runs) {
  return kinds.flatMap((kind) => {
    const parts = kind.parts ? [...new Map(runs.flatMap((run) => kind.parts(run)))] : [[undefined, '']];
    return parts.map(([part, words]) => ({ ...kind, key: part === undefined ? kind.key : `${kind.key}-${part}`, title: `${kind.title} ${words}`.trim(), value: (one) => kind.value(one, part) ?? null }));
  }).filter((curve) => runs.some((run) => pointsOf(curve, run).some((one) => Number.isFinite(curve.value(one)))));
}

export class Comparison {
  // `remember`: called when what the address is to have has changed: `metrics` and `weight`.
  constructor(query, remember) {
    this.part = h('div', {});
    this.metrics = new Set((query.get('metrics') || 'loss,evaluation').split(',').filter(Boolean));
    this.weight = Number(query.get('smoothing') ?? 0.9);
    Object.assign(this, { remember, charts: new Map(), runs: [], names: '' });
  }

  again() { this.charts.forEach((chart) => chart.again()); }
  close() { this.isClosed = true; this.charts.forEach((chart) => chart.close()); }

  // Of these runs; `experiments`: all, as the list has them, by which it is seen what has changed. Whoever comes while an
  // answer is on its way has what they want shown next.
  async show(names, experiments) {
    this.wanted = [names, experiments];
    if (this.isFetching) return;
    this.isFetching = true;
    try {
      while (this.wanted) {
        const wanted = this.wanted;
        this.wanted = undefined;
        await this.update(...wanted);
      }
    } finally { this.isFetching = false; }
  }

  async update(names, experiments) {
    const known = new Map(experiments.map((one) => [one.experiment_name, one]));
    const state = JSON.stringify(names.map((run) => [run, known.get(run)?.status, known.get(run)?.current_step]));
    if (this.state === state) return;
    this.state = state;
    if (names.length < 2) return this.leave();
    const runs = names.map((run) => this.runs.find((one) => one.run === run) ?? new Metrics(run, 5000));
    const isNew = this.names !== names.join();
    try { await Promise.all(runs.map(async (run) => { [run.details] = await Promise.all([get('experiments/' + escaped(run.run)), run.fetch()]); })); } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // The next look at the list asks again.
      this.state = undefined;
      const said = problem(error);
      // What has been said is not said again.
      if (isNew && this.part.textContent !== said.textContent) this.leave(said);
      return;
    }
    if (this.isClosed) return;
    this.runs = runs;
    if (isNew) this.frame(names);
    this.draw();
  }

  leave(instead) {
    this.charts.forEach((chart) => chart.close());
    this.charts.clear();
    Object.assign(this, { runs: [], names: '', offered: undefined });
    fill(this.part, instead);
  }

  frame(names) {
    const runs = this.runs;
    this.leave();
    Object.assign(this, { runs, names: names.join(), choices: h('fieldset', { class: 'choices' }), count: h('span', { class: 'faint' }), grid: h('div', { class: 'charts' }), results: h('div', {}), differences: h('div', {}) });
    const range = h('input', { type: 'range', id: 'smoothing', min: 0, max: 0.99, step: 0.01, value: this.weight, oninput: () => { this.weight = Number(range.value); this.redraw(); } });
    fill(this.part, h('section', { class: 'card' }, h('div', { class: 'row spread' }, h('h2', {}, 'Compared'), h('div', { class: 'row' }, h('label', { for: 'smoothing' }, 'Smoothing'), h('span', {}, range))),
      h('details', {}, h('summary', {}, 'Choose curves ', this.count), this.choices), this.grid),
      h('section', { class: 'card' }, h('h2', {}, 'What they came to'), this.results), h('section', { class: 'card' }, h('h2', {}, 'What differs in their configs'), this.differences));
  }

  draw() {
    this.curves = available(this.runs);
    this.offer();
    this.overlay();
    fill(this.results, this.resultsTable());
    fill(this.differences, this.differencesTable());
  }

  // What there is to choose from; left as it is while that stays the same, with who is in it by the keyboard.
  offer() {
    const offered = this.curves.map((curve) => curve.key).join();
    if (this.offered === offered) return;
    this.offered = offered;
    fill(this.choices, h('legend', { class: 'visually-hidden' }, 'Curves'), this.curves.map(({ key, title }) => {
      const box = h('input', { type: 'checkbox', id: 'curve-' + key, onchange: () => { if (box.checked) this.metrics.add(key); else this.metrics.delete(key); this.redraw(); } });
      box.checked = this.metrics.has(key);
      return h('label', { class: 'choice', for: 'curve-' + key }, box, title);
    }));
  }

  // At most once a frame, so that the slider stays smooth with long runs.
  redraw() {
    if (this.isDrawing) return;
    this.isDrawing = true;
    requestAnimationFrame(() => { this.isDrawing = false; this.remember(); if (this.runs.length) this.overlay(); });
  }

  overlay() {
    const shown = this.curves.filter((curve) => this.metrics.has(curve.key));
    this.count.textContent = `${shown.length} of ${this.curves.length}`;
    for (const [key, chart] of this.charts) {
      if (!shown.some((curve) => curve.key === key)) { chart.close(); chart.figure.remove(); this.charts.delete(key); }
    }
    shown.forEach((curve, place) => {
      const { key, title, isSmoothed, format, logscale, drawPoints, pointSize } = curve;
      if (!this.charts.has(key)) this.charts.set(key, new Chart(title + (isSmoothed ? ' (smoothed)' : ''), { large: true, ...(format ? { format } : {}), ...(logscale ? { logscale } : {}), ...(drawPoints ? { drawPoints, pointSize } : {}) }));
      const chart = this.charts.get(key);
      if (this.grid.children[place] !== chart.figure) this.grid.insertBefore(chart.figure, this.grid.children[place] ?? null);
      chart.show(this.rows(curve), this.runs.map(({ run }) => run), colors(this.runs.length));
    });
  }

  // One row for each step that any of the runs has a point at.
  rows(curve) {
    const points = new Map();
    this.runs.forEach((run, index) => {
      const found = pointsOf(curve, run), plain = found.map(curve.value), values = curve.isSmoothed ? smoothed(plain, this.weight) : plain;
      found.forEach(({ step }, i) => {
        if (!Number.isFinite(values[i]) || (curve.logscale && values[i] <= 0)) return;
        if (!points.has(step)) points.set(step, Array(this.runs.length).fill(null));
        points.get(step)[index] = values[i];
      });
    });
    return [...points].sort((a, b) => a[0] - b[0]).map(([step, values]) => [step, ...values]);
  }

  resultsTable() {
    const best = ({ best }) => (best ? `${decimal(best.loss)} after ${best.step}` : '–');
    const lines = [['State', ({ details }) => details.status], ['Steps', ({ details }) => details.current_step.toLocaleString()], ['Last loss', ({ rows }) => decimal(rows.at(-1)?.loss)],
      ['Best evaluation', best], ['Time of steps', ({ details }) => duration(details.ledger.seconds)]];
    return this.matrix(lines.map(([text, value]) => [text, this.runs.map(value)]));
  }

  differencesTable() {
    const values = (key) => this.runs.map(({ details }) => JSON.stringify(details.config[key]));
    const keys = Object.keys(this.runs[0].details.config).filter((key) => !['experiment_name', 'output_path'].includes(key) && new Set(values(key)).size > 1);
    return keys.length ? this.matrix(keys.map((key) => [key, values(key)])) : h('p', {}, 'Nothing: they differ in their names alone.');
  }

  matrix(rows) {
    return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': 'Compared' }, h('table', {}, h('thead', {}, h('tr', {}, h('th', { scope: 'col' }, h('span', { class: 'visually-hidden' }, 'What')), this.runs.map(({ run }) => h('th', { scope: 'col' }, run)))),
      h('tbody', {}, rows.map(([text, cells]) => h('tr', {}, h('th', { scope: 'row' }, text), cells.map((cell) => h('td', {}, cell ?? '–')))))));
  }
}
