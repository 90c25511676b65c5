// The curves of a run: those that every run has, and those that come with what it measures.
import { Chart, palette, smoothed } from './charts.js';
import { bytes, h } from './elements.js';

// Steps differ by the tiers that are due; what they come to in the mean is what can be read.
const mean = (values) => smoothed(values, 0.95);
const sum = (list) => (list || []).reduce((a, b) => a + b, 0);
const isNumber = Number.isFinite;

export class Curves {
  constructor() {
    this.charts = {};
    this.grid = h('div', { class: 'charts' });
    this.weight = 0.9;
    this.isLog = false;
    this.add('loss', 'Loss', { large: true, showRangeSelector: false });
    this.add('rate', 'Learning rate by tier');
    this.add('norm', 'Gradient norm by tier, before clipping, where it is updated', { drawPoints: true, pointSize: 1.6, logscale: true });
    this.add('drift', 'Drift by tier: distance of its parameters from where training began', { drawPoints: true, pointSize: 1.6 });
    this.add('speed', 'Trained tokens a second, mean of some 20 steps');
    this.add('traffic', 'Bytes a step to and from workers, mean of some 20 steps', { format: bytes });
    this.add('memory', 'Memory', { format: bytes });
  }

  // The chart of that name, which is made when there is something for it.
  add(name, title, options) {
    if (!this.charts[name]) {
      this.charts[name] = new Chart(title, options);
      this.grid.append(this.charts[name].figure);
    }
    return this.charts[name];
  }

  again() { Object.values(this.charts).forEach((chart) => chart.again()); }
  close() { Object.values(this.charts).forEach((chart) => chart.close()); }

  show(rows, evaluations) {
    Object.assign(this, { rows, evaluations, colors: palette(6) });
    this.drawLoss();
    this.drawTiers();
    this.drawCost();
    this.drawObjective();
    this.drawDifficulty();
    this.drawAccuracy();
    this.drawTasks();
  }

  // The only one that smoothing and the scale change at once, so that the slider stays smooth with long runs.
  drawLoss() {
    const { rows, colors } = this;
    if (!rows) return;
    const smooth = smoothed(rows.map((row) => row.loss), this.weight);
    const evaluations = new Map(this.evaluations.map((one) => [one.step, one.loss]));
    let best = Infinity;
    const bests = new Map(this.evaluations.map((one) => { best = Math.min(best, one.loss); return [one.step, best]; }));
    this.charts.loss.show(rows.map((row, i) => [row.step, row.loss, smooth[i], evaluations.get(row.step) ?? null, bests.get(row.step) ?? null]),
      ['each step', 'smoothed', 'validation', 'best so far'], ['rgba(128,134,139,0.45)', colors[2], colors[0], colors[5]],
      { logscale: this.isLog, series: { 'each step': { strokeWidth: 1 }, smoothed: { strokeWidth: 2 }, validation: { drawPoints: true, pointSize: 3 }, 'best so far': { strokePattern: [5, 4], stepPlot: true } } });
  }

  drawTiers() {
    const { rows, colors } = this;
    const names = (count) => Array.from({ length: count }, (_, tier) => `tier ${tier}`), own = (count) => names(count).map((_, tier) => colors[tier % 6]);
    const tiers = rows.at(-1)?.tier_learning_rates?.length || 0;
    this.charts.rate.show(rows.map((row) => [row.step, ...row.tier_learning_rates]), names(tiers), own(tiers));
    this.charts.norm.show(rows.map((row) => [row.step, ...row.tier_grad_norms.map((norm, tier) => (row.active_tiers.includes(tier) && norm > 0 ? norm : null))]), names(tiers), own(tiers));
    const moved = rows.filter((row) => row.tier_drift), all = moved.at(-1)?.tier_drift.length || 0;
    this.charts.drift.show(moved.map((row) => [row.step, ...row.tier_drift]), names(all), own(all));
  }

  // What the run takes of machines and of the network.
  drawCost() {
    const { rows, colors } = this;
    const speed = mean(rows.map((row) => row.tokens_per_second));
    this.charts.speed.show(rows.map((row, i) => [row.step, speed[i]]), ['tokens a second'], [colors[2]]);
    const down = mean(rows.map(({ traffic }) => (traffic ? sum(traffic.parameters_down) + sum(traffic.chains_down) : null)));
    const up = mean(rows.map(({ traffic }) => (traffic ? sum(traffic.boundary_up) + sum(traffic.flush_up) + sum(traffic.other_up) : null)));
    this.charts.traffic.show(rows.map((row, i) => [row.step, down[i], up[i]]), ['down', 'up'], [colors[2], colors[0]]);
    const known = rows.filter((row) => row.memory);
    // Of an only worker all together are the largest too.
    const shown = [['coordinator', 'coordinator', colors[2]], ['workers', 'workers together', colors[0]],
      ...(known.some(({ memory }) => memory.workers !== memory.largest_worker) ? [['largest_worker', 'the largest of them', colors[3]]] : [])];
    this.charts.memory.show(known.map(({ step, memory }) => [step, ...shown.map(([key]) => memory[key])]), shown.map(([, label]) => label), shown.map(([, , color]) => color), { includeZero: true });
  }

  // Smoothed curves of what only some steps, or some runs, have.
  lines(name, title, keys, value, options) {
    const { rows, colors } = this;
    const shown = keys.filter((key) => rows.some((row) => isNumber(value(row, key))));
    if (!shown.length) return;
    const curves = shown.map((key) => smoothed(rows.map((row) => value(row, key) ?? null), this.weight));
    this.add(name, title, options).show(rows.map((row, i) => [row.step, ...curves.map((curve) => curve[i])]), shown.map((key) => key.replaceAll('_', ' ')), shown.map((_, i) => colors[i % 6]));
  }

  drawObjective() {
    const value = (row, key) => row[key];
    this.lines('objective', 'What is minimized, and the loss of what is rehearsed (smoothed)', ['objective', 'replay_loss'], value);
    this.lines('divergence', 'KL divergence from the base model in nats a token (smoothed)', ['kl_to_base'], value);
    this.lines('penalty', 'Weight penalty (smoothed)', ['weight_penalty'], value);
    this.lines('domains', 'Share of rows whose domain the discriminator tells (smoothed), and λ of the reversal', ['domain_accuracy', 'adversary_lambda'], value);
    this.lines('domainLoss', 'Cross entropy of the rows\u2019 domains (smoothed)', ['domain_loss'], value);
  }

  // Only where rows are taken by how difficult they are.
  drawDifficulty() {
    const { rows, colors } = this;
    if (!rows.some((row) => isNumber(row.sampled_difficulty))) return;
    const taken = smoothed(rows.map((row) => row.sampled_difficulty ?? null), this.weight);
    this.add('difficulty', 'Difficulty of the rows, 0 the easiest and 1 the hardest (smoothed)')
      .show(rows.map((row, i) => [row.step, taken[i], row.curriculum_threshold ?? null]), ['mean of a step', 'allowed'], [colors[2], colors[0]]);
  }

  // Of evaluations: a point each.
  points(name, title, keys, value) {
    const rows = this.evaluations.map((one) => [one.step, ...keys.map((key) => value(one, key) ?? null)]).filter((row) => row.slice(1).some(isNumber));
    if (rows.length) this.add(name, title, { drawPoints: true, pointSize: 3 }).show(rows, keys, keys.map((_, i) => this.colors[i % 6]));
  }

  drawAccuracy() { this.points('accuracy', 'Share of tokens that are right, at evaluations', ['accuracy'], (one) => one.accuracy); }

  drawTasks() {
    const names = Object.keys(this.rows.find((row) => row.tasks)?.tasks ?? this.evaluations.find((one) => one.tasks)?.tasks ?? {});
    if (!names.length) return;
    this.lines('taskLoss', 'Loss by task (smoothed)', names, (row, name) => row.tasks?.[name]?.loss);
    this.lines('taskWeight', 'What the losses of tasks weigh, as it is learned (smoothed)', names, (row, name) => row.tasks?.[name]?.weight);
    for (const [key, title] of [['loss', 'Validation loss by task'], ['accuracy', 'Accuracy by task, at evaluations'], ['f1', 'Macro F1 by task, at evaluations']]) {
      this.points('task-' + key, title, names, (one, name) => one.tasks?.[name]?.[key]);
    }
  }
}
