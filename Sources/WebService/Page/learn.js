// Learn: what tiers do, with a small model of them in the page, and what is measured.
import { get } from './api.js';
import { fill, h, raster, tierDot } from './elements.js';

export async function learn(place) {
  const info = await get('tier-info');
  const simulation = new Simulation();
  fill(place, h('h1', {}, 'What tiers do'), h('section', { class: 'card' }, h('p', {}, info.description), simulation.element),
    h('section', { class: 'card' }, h('h2', {}, 'What speaks for it, and what is not shown'), h('ul', {}, info.benefits.map((text) => h('li', {}, text)))),
    h('section', { class: 'card' }, h('h2', {}, 'How parameters are divided'), h('dl', {}, Object.entries(info.strategies).map(([name, text]) => [h('dt', {}, h('code', {}, name)), h('dd', {}, h('p', { class: 'faint' }, text))]))));
  return () => simulation.stop();
}

const every = (period) => (Number(period) === 1 ? 'every step' : `every ${period} steps`);

// Twelve parameters drawn to a target that jumps at step 40, by plain descent; each moves only when its tier does.
class Simulation {
  constructor() {
    this.periods = [1, 4, 16];
    this.steps = 80;
    this.play = h('button', { type: 'button', class: 'primary', onclick: () => (this.timer ? this.stop() : this.run()) }, 'Play');
    this.step = h('input', { type: 'range', id: 'sim-step', min: 0, max: this.steps, value: this.steps, oninput: () => this.draw() });
    this.said = h('p', { class: 'faint', 'aria-live': 'off' });
    this.bars = h('div', {});
    const controls = this.periods.map((period, tier) => {
      const input = h('input', { type: 'range', min: 1, max: 64, value: period, id: 'sim-' + tier, oninput: () => { this.periods[tier] = Number(input.value); number.textContent = every(input.value); this.picture(); this.draw(); } });
      const number = h('span', { class: 'faint' }, every(period));
      return h('div', { class: 'tier' }, h('label', { for: 'sim-' + tier }, tierDot(tier), `Tier ${tier}`), input, number);
    });
    this.rasterPlace = h('div', {});
    this.element = h('div', {}, h('h2', {}, 'Try it'), h('p', {}, 'Each bar is a parameter. All are drawn towards what the data say; at step 40 the data begin to say something else, with the opposite sign. Fast tiers follow at once, slow ones still hold what they had learned.'),
      controls, this.rasterPlace, this.bars, this.said, h('div', { class: 'row' }, this.play, h('label', { for: 'sim-step' }, 'Step'), h('span', {}, this.step)));
    this.picture();
    this.draw();
  }

  picture() { fill(this.rasterPlace, raster(this.periods)); }

  // The parameters after so many steps: θ ← θ + 0.15 (target − θ) where the tier is due.
  values(steps) {
    const values = Array(12).fill(0);
    for (let step = 1; step <= steps; step++) {
      const target = step <= 40 ? 1 : -1;
      values.forEach((value, i) => { if (step % this.periods[Math.floor(i / 4)] === 0) values[i] = value + (0.15 + 0.02 * (i % 4)) * (target - value); });
    }
    return values;
  }

  draw() {
    const step = Number(this.step.value), values = this.values(step);
    const text = this.periods.map((_, tier) => `tier ${tier} at ${values[tier * 4].toFixed(2).replace('-', '−')}`).join(', ');
    fill(this.bars, h('svg', { viewBox: '0 0 480 120', class: 'raster', role: 'img', 'aria-label': `After step ${step}: ${text}` },
      h('line', { x1: 0, x2: 480, y1: 60, y2: 60, stroke: 'currentColor', 'stroke-opacity': 0.3 }),
      values.map((value, i) => h('rect', { x: i * 40 + 6, width: 28, y: Math.min(60, 60 - value * 55), height: Math.max(1, Math.abs(value) * 55), rx: 3, class: `t${Math.floor(i / 4)}` }))));
    this.said.textContent = `After step ${step}: ${text}. The data say ${step < 40 ? '1' : step === 40 ? '1 until now' : '−1'}.`;
  }

  run() {
    if (Number(this.step.value) >= this.steps) this.step.value = 0;
    this.play.textContent = 'Stop';
    this.timer = setInterval(() => {
      this.step.value = Number(this.step.value) + 1;
      this.draw();
      if (Number(this.step.value) >= this.steps) this.stop();
    }, 120);
  }

  stop() { clearInterval(this.timer); this.timer = undefined; this.play.textContent = 'Play'; }
}
