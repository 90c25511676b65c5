// Metrics of a run as they grow: what is new is asked for, and everything again where the run went back.
import { get, name } from './api.js';

export class Metrics {
  // `limit`: of steps, evenly over all of them.
  constructor(run, limit) {
    Object.assign(this, { run, rows: [], evaluations: [], returns: 0, path: `metrics?experiment=${name(run)}&limit=${limit}` });
  }

  async fetch() {
    const since = this.rows.at(-1)?.step ?? 0;
    let answer = await get(`${this.path}&since=${since}`);
    const wentBack = answer.returns !== this.returns || answer.last_step < since;
    if (wentBack && since > 0) answer = await get(this.path);
    this.rows = wentBack ? answer.metrics : [...this.rows, ...answer.metrics];
    const known = new Set(answer.evaluations.map((one) => one.step));
    this.evaluations = wentBack || since === 0 ? answer.evaluations : [...this.evaluations.filter((one) => !known.has(one.step)), ...answer.evaluations];
    this.returns = answer.returns;
    this.lastStep = answer.last_step;
  }

  get best() { return this.evaluations.reduce((a, b) => (!a || b.loss < a.loss ? b : a), null); }
}
