// Charts: dygraphs, which stays smooth at tens of thousands of points, in the colours of the page.
import { fill, h } from './elements.js';

// A colour that a canvas knows: `light-dark()` is only resolved where it is used.
function resolved(name) {
  const probe = h('span', {});
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}
export const tierColor = (tier) => resolved(`--tier${tier % 6}`);
export const palette = (count) => Array.from({ length: count }, (_, i) => tierColor(i));

// A mean that forgets: each value counts (1 − weight), those before weight, weight², …; without the pull of the start.
export function smoothed(values, weight) {
  let sum = 0, norm = 0;
  return values.map((value) => {
    if (value === null || !Number.isFinite(value)) return null;
    sum = sum * weight + value * (1 - weight);
    norm = norm * weight + (1 - weight);
    return sum / norm;
  });
}

// Its own legend writes styles into markup, which the page forbids; `showLegend` is ours.
Dygraph.PLUGINS = Dygraph.PLUGINS.filter((plugin) => plugin !== Dygraph.Plugins.Legend);

export class Chart {
  // `options`: of dygraphs, beyond those set here.
  constructor(title, options = {}) {
    this.plot = h('div', { class: 'plot' });
    this.legend = h('div', { class: 'legend' });
    this.title = title;
    this.caption = h('figcaption', {}, title);
    this.options = options;
    this.format = options.format ?? tick;
    this.figure = h('figure', { class: 'chart' + (options.large ? ' large' : ''), role: 'group', 'aria-label': title },
      this.caption, this.plot, this.legend);
    delete options.large;
    delete options.format;
  }

  // `rows`: each with the step first; `labels`: of the columns after it.
  show(rows, labels, colors, more = {}) {
    // An answer may come when its view has been left.
    if (this.isClosed) return;
    this.last = [rows, labels, colors, more];
    // Nor has what is not on the page a width.
    if (!this.plot.isConnected) return;
    if (!rows.length || !labels.length) { this.legend.textContent = 'Nothing yet.'; return; }
    this.names = [labels, colors];
    const options = {
      labels: ['step', ...labels], colors, connectSeparatedPoints: true,
      highlightCallback: (_, step, points) => this.showLegend(step, new Map(points.map((point) => [point.name, point.yval]))),
      unhighlightCallback: () => this.showLegend(),
      gridLineColor: resolved('--line'), axisLineColor: resolved('--line'), strokeWidth: 1.6, highlightCircleSize: 4,
      axes: { x: { drawGrid: false, pixelsPerLabel: 70 }, y: { axisLabelWidth: 58, axisLabelFormatter: this.format } },
      // So that points at the ends are whole.
      xRangePad: 5, rangeSelectorHeight: 24, animatedZooms: false, ...this.options, ...more,
    };
    if (!this.graph) this.graph = new Dygraph(this.plot, rows, options);
    else this.graph.updateOptions({ file: rows, ...options });
    this.showLegend();
    const text = labels.map((label, i) => `${label} ${this.format(lastOf(rows, i + 1))}`).join(', ');
    this.plot.setAttribute('role', 'img');
    this.plot.setAttribute('aria-label', `${this.title} up to step ${rows.at(-1)[0]}: ${text}`);
  }

  // What the lines are; at a step, what they are there.
  showLegend(step, values) {
    const [labels, colors] = this.names;
    fill(this.legend, step === undefined ? null : h('span', { class: 'key' }, `step ${step}`), labels.map((label, i) => {
      const dot = h('span', { class: 'dot', 'aria-hidden': 'true' });
      dot.style.background = colors[i];
      const value = values && values.has(label) ? ' ' + this.format(values.get(label)) : '';
      return h('span', { class: 'key' }, dot, label + value);
    }));
  }

  // After a change of colours.
  again() { if (this.last) this.show(...this.last); }

  close() {
    this.isClosed = true;
    this.graph?.destroy();
  }
}

const lastOf = (rows, column) => { for (let i = rows.length - 1; i >= 0; i--) if (rows[i][column] !== null && rows[i][column] !== undefined) return rows[i][column]; };

function tick(value) {
  if (value === null || value === undefined) return '–';
  const size = Math.abs(value);
  return size !== 0 && (size < 1e-3 || size >= 1e5) ? value.toExponential(1) : String(Number(value.toPrecision(4)));
}
