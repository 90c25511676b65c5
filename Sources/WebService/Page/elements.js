// Elements of the page: made here and nowhere by text, so that no name of a run is ever taken for markup.
const svgNames = new Set(['svg', 'path', 'rect', 'text', 'circle', 'g', 'line', 'title']);

export function h(tag, attributes = {}, ...children) {
  const element = svgNames.has(tag) ? document.createElementNS('http://www.w3.org/2000/svg', tag) : document.createElement(tag);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value);
    else if (key === 'value') element.value = value;
    else element.setAttribute(key, value === true ? '' : value);
  }
  element.append(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export const fill = (element, ...children) => {
  element.replaceChildren(...children.flat(3).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
};

// Said by screen readers, wherever the reader is.
export function say(text) { document.getElementById('said').textContent = text; }

export function problem(error) {
  return h('p', { class: 'problem', role: 'alert' }, error.message + (error.hint ? ` (${error.hint})` : ''));
}

export const pill = (status) => h('span', { class: 'pill ' + status }, status);

export function decimal(value, digits = 4) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  if (value !== 0 && (Math.abs(value) < 1e-3 || Math.abs(value) >= 1e6)) return value.toExponential(2);
  return Number(value.toPrecision(digits)).toString();
}

export function duration(seconds) {
  if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return '–';
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 86400) return `${(seconds / 3600).toFixed(1)} h`;
  return `${(seconds / 86400).toFixed(1)} days`;
}

export function bytes(count) {
  if (count === null || count === undefined) return '–';
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let unit = 0;
  for (; count >= 1000 && unit < 4; unit++) count /= 1000;
  return `${unit && count < 10 ? count.toFixed(1) : Math.round(count)} ${units[unit]}`;
}

export const when = (text) => (text ? new Date(text).toLocaleString(undefined, { dateStyle: 'medium', timeStyle: 'short' }) : '–');

export const facts = (pairs) => h('dl', { class: 'facts' },
  pairs.filter(Boolean).map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));

export function table(caption, columns, rows) {
  return h('div', { class: 'scroll', tabindex: 0, role: 'region', 'aria-label': caption }, h('table', {},
    h('caption', { class: 'visually-hidden' }, caption),
    h('thead', {}, h('tr', {}, columns.map((column) => h('th', { scope: 'col', class: column.num && 'num' }, column.title)))),
    h('tbody', {}, rows.map((row) => h('tr', {}, row.map((cell, i) => h('td', { class: columns[i].num && 'num' }, cell ?? '–')))))));
}

export const tierDot = (tier) => h('span', { class: `dot t${tier % 6}`, 'aria-hidden': 'true' });

// Which tiers are updated at which of the first steps.
export function raster(periods, steps = 48) {
  const cell = 12, left = 44, width = left + steps * cell, height = periods.length * cell + 16;
  const cells = periods.flatMap((period, tier) => Array.from({ length: steps }, (_, i) => h('rect', {
    x: left + i * cell, y: tier * cell, width: cell - 2, height: cell - 2, rx: 2,
    class: (i + 1) % period === 0 ? `t${tier % 6}` : 'rest',
  })));
  const label = periods.map((period, tier) => `tier ${tier} every ${period === 1 ? 'step' : period + ' steps'}`).join(', ');
  return h('svg', { viewBox: `0 0 ${width} ${height}`, class: 'raster', role: 'img', 'aria-label': `Updates in the first ${steps} steps: ${label}` },
    periods.map((_, tier) => h('text', { x: 0, y: tier * cell + 9 }, `tier ${tier}`)), cells,
    [1, 8, 16, 24, 32, 40, 48].filter((step) => step <= steps).map((step) => h('text', { x: left + (step - 1) * cell, y: height - 3 }, String(step))));
}

// The learning rate over the steps of a run.
export function rateCurve({ lr_schedule, num_steps, points }) {
  const width = 320, height = 96, left = 60, highest = Math.max(...points.map((point) => point.rate)) || 1;
  const x = (step) => left + (step - 1) / Math.max(1, num_steps - 1) * (width - left - 4), y = (rate) => 4 + (1 - rate / highest) * (height - 24);
  const path = points.map((point) => `${x(point.step).toFixed(1)},${y(point.rate).toFixed(1)}`).join('L');
  const said = `Learning rate, ${lr_schedule.replaceAll('_', ' ')}: ${decimal(points[0].rate)} at step 1, at most ${decimal(highest)}, ${decimal(points.at(-1).rate)} at step ${num_steps}`;
  return h('svg', { viewBox: `0 0 ${width} ${height}`, class: 'curve', role: 'img', 'aria-label': said },
    h('path', { d: `M${left},4V${height - 20}H${width - 4}`, class: 'axis' }), h('path', { d: 'M' + path, class: 'line' }),
    h('text', { x: 0, y: 12 }, decimal(highest)), h('text', { x: 0, y: height - 20 }, '0'), h('text', { x: left, y: height - 4 }, '1'),
    h('text', { x: width - 4, y: height - 4, 'text-anchor': 'end' }, String(num_steps)));
}

export function sparkline(values) {
  if (!values || values.length < 2) return h('span', { class: 'faint' }, '–');
  const low = Math.min(...values), high = Math.max(...values), span = high - low || 1;
  const points = values.map((value, i) => `${(i / (values.length - 1) * 98 + 1).toFixed(1)},${(23 - (value - low) / span * 22).toFixed(1)}`);
  return h('svg', { class: 'spark', viewBox: '0 0 100 24', preserveAspectRatio: 'none', role: 'img', 'aria-label': `Loss from ${decimal(values[0])} to ${decimal(values.at(-1))}` },
    h('path', { d: 'M' + points.join('L'), 'vector-effect': 'non-scaling-stroke' }));
}

export function copyButton(text) {
  const button = h('button', { type: 'button', class: 'small', onclick: async () => {
    try { await navigator.clipboard.writeText(text()); button.textContent = 'Copied'; } catch { button.textContent = 'Select and copy it'; }
    setTimeout(() => { button.textContent = 'Copy'; }, 2000);
  } }, 'Copy');
  return button;
}
