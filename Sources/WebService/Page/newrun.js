// New run: everything that a config can say, with what it would come to before anything is begun.
import { get, name, post, upload } from './api.js';
import { bytes, copyButton, decimal, duration, facts, fill, h, problem, raster, rateCurve, say, table, tierDot } from './elements.js';

const store = 'nl-new-run';
// What most runs differ in; all other keys stand below, in their groups.
const first = {
  'Model and data': ['base_model_path', 'train_data_path', 'val_data_path', 'adapter_path'],
  'Training': ['learning_rate', 'num_steps', 'batch_size', 'gradient_accumulation_steps', 'max_seq_length', 'lora_rank', 'lora_alpha', 'warmup_steps'],
};
const own = ['experiment_name', 'preset', 'num_tiers', 'tier_update_frequencies', 'tier_assignment_strategy', 'output_path'];
const scheduleKeys = ['preset', 'num_steps', 'learning_rate', 'warmup_steps', 'lr_schedule', 'lr_end', 'lr_power', 'plateau_factor', 'plateau_patience'];
const words = { base_model_path: 'Base model', train_data_path: 'Training data', val_data_path: 'Validation data', adapter_path: 'Go on from adapter', experiment_name: 'Name', preset: 'Preset', tier_assignment_strategy: 'How parameters are divided', num_tiers: 'Number of tiers', lora_rank: 'LoRA rank', lora_alpha: 'LoRA alpha', num_steps: 'Steps' };
// Where the help of the key table speaks of files, which the page has none of.
const helps = { experiment_name: 'What the run is called, and its folder; without one, by the time.' };
const title = (key) => words[key] || key.replaceAll('_', ' ').replace(/^./, (c) => c.toUpperCase());

export async function newRun(place, { query }) {
  const [{ keys, presets }, models, adapters, datasets] = await Promise.all([get('config-keys'), get('models'), get('adapters'), get('datasets')]);
  const form = new Form(place, keys, presets, { base_model_path: models.models, adapter_path: adapters.adapters, data: datasets.datasets });
  if (query.get('from')) await form.copy(query.get('from'));
  form.draw();
}

class Form {
  constructor(place, keys, presets, lists) {
    Object.assign(this, { place, keys, presets, lists });
    this.key = Object.fromEntries(keys.map((key) => [key.name, key]));
    try { this.values = JSON.parse(localStorage.getItem(store)) || {}; } catch { this.values = {}; }
    this.fields = {};
    this.result = h('div', { 'aria-live': 'polite' });
  }

  // The config of a run, without what is at its default, under another name.
  async copy(run) {
    const { config } = await get('experiments/' + name(run));
    this.values = {};
    for (const key of this.keys) {
      const value = key.kind === 'path' ? this.listed(config[key.name]) : config[key.name];
      if (value !== undefined && value !== null && key.name !== 'output_path' && JSON.stringify(value) !== JSON.stringify(key.default)) this.values[key.name] = value;
    }
    const { experiments } = await get('experiments');
    this.values.experiment_name = copyName(run, new Set(experiments.map((one) => one.experiment_name)));
    this.keep();
    history.replaceState(null, '', '#/new');
  }

  // A path, or several, as the lists name them, where they do: a run's config has them in full.
  listed(value) {
    if (Array.isArray(value)) return value.map((one) => this.listed(one));
    if (value?.path) return { ...value, path: this.listed(value.path) };
    return Object.values(this.lists).flat().find((one) => one.id && one.path === value)?.id ?? value;
  }

  keep() { localStorage.setItem(store, JSON.stringify(this.values)); }

  // What is in force: what was given, else what the preset says, else the default.
  standard(key) {
    const preset = this.presets.find((one) => one.name === this.values.preset);
    const isPair = ['num_tiers', 'tier_update_frequencies'].includes(key) && (this.values.num_tiers || this.values.tier_update_frequencies);
    return preset && key in preset.values && !isPair ? preset.values[key] : this.key[key]?.default;
  }
  value(key) { return this.values[key] ?? this.standard(key); }

  set(key, value) {
    if (value === undefined || value === '' || value === null) delete this.values[key]; else this.values[key] = value;
    this.keep();
    this.fields[key]?.classList.toggle('changed', key in this.values);
    if (scheduleKeys.includes(key)) this.drawSchedule();
  }

  draw() {
    this.fields = {};
    const start = h('button', { type: 'submit', class: 'primary' }, 'Start');
    const check = h('button', { type: 'button', onclick: () => this.check() }, 'Check first');
    const clear = h('button', { type: 'button', class: 'quiet', onclick: () => { this.values = {}; this.keep(); this.draw(); say('All values are at their defaults'); } }, 'Clear');
    this.trouble = h('div', {});
    const form = h('form', { class: 'two', novalidate: true, onsubmit: (event) => { event.preventDefault(); this.start(start); } },
      h('div', {}, this.head(), this.group('Model and data'), this.tiers(), this.group('Training'), this.others(), this.importer()),
      h('aside', { class: 'side', 'aria-label': 'What it comes to' },
        h('section', { class: 'card' }, h('h2', {}, 'Updates'), this.picture = h('div', {}), h('h3', {}, 'Learning rate'), this.curve = h('div', {}), this.trouble,
          h('div', { class: 'row' }, start, check, clear),
          h('p', { class: 'hint' }, 'A check reads model and data and shows what would be trained; nothing is begun.')), this.result));
    fill(this.place, h('h1', {}, 'New run'), h('p', { class: 'faint' }, 'Empty fields are at the value that they show. Everything here is kept in this browser until you start.'), form);
    this.drawPicture();
    this.drawSchedule();
  }

  // The service draws the rates, by the same code that trains; while somebody types, only the last answer counts.
  drawSchedule() {
    clearTimeout(this.drawing);
    this.drawing = setTimeout(async () => {
      const asked = this.asked = {};
      const values = Object.fromEntries(scheduleKeys.filter((key) => key in this.values).map((key) => [key, this.values[key]]));
      try {
        const schedule = await post('schedule', values);
        if (asked === this.asked) fill(this.curve, rateCurve(schedule));
      } catch (error) { if (asked === this.asked) fill(this.curve, h('p', { class: 'hint' }, error.message)); }
    }, 150);
  }

  head() {
    return h('section', { class: 'card' }, h('div', { class: 'fields' }, this.field('experiment_name'), this.preset()));
  }

  preset() {
    const select = h('select', { id: 'k-preset', onchange: () => { this.set('preset', select.value); this.draw(); document.getElementById('k-preset').focus(); } },
      h('option', { value: '' }, 'none'), this.presets.map((one) => h('option', { value: one.name }, one.name)));
    select.value = this.values.preset || '';
    const purpose = this.presets.find((one) => one.name === this.values.preset)?.purpose;
    return h('div', {}, h('label', { for: 'k-preset' }, 'Preset'), select, h('p', { class: 'hint' }, purpose ? `For ${purpose}.` : 'A set of values for what you leave empty.'));
  }

  group(heading) {
    const extra = heading === 'Model and data' ? this.uploader() : null;
    return h('section', { class: 'card' }, h('h2', {}, heading), h('div', { class: 'fields' }, first[heading].map((key) => this.field(key)), extra));
  }

  uploader() {
    const bar = h('progress', { max: 1, value: 0, hidden: true, 'aria-label': 'Upload' });
    const said = h('p', { class: 'hint' }, 'JSONL, JSON, CSV or gzip; it goes into the data folder of the service.');
    const input = h('input', { type: 'file', id: 'upload', accept: '.jsonl,.json,.csv,.txt,.gz', onchange: async () => {
      const file = input.files[0];
      if (!file) return;
      bar.hidden = false;
      try {
        await upload(file, (share) => { bar.value = share; });
        this.lists.data = (await get('datasets')).datasets;
        if (!this.values.train_data_path) this.set('train_data_path', file.name);
        this.draw();
        say(`${file.name} has been uploaded`);
      } catch (error) { fill(said, problem(error)); bar.hidden = true; }
    } });
    return h('div', {}, h('label', { for: 'upload' }, 'Upload data'), input, bar, said);
  }

  // Tiers: a slider and a number for each period.
  tiers() {
    const periods = this.periods();
    const list = h('div', {}, periods.map((period, tier) => this.tier(period, tier)));
    const count = h('input', { type: 'number', id: 'k-num_tiers', min: 1, max: 16, value: periods.length, onchange: () => {
      const wanted = Math.min(16, Math.max(1, Math.round(Number(count.value)) || 1));
      const now = this.periods();
      this.setPeriods(Array.from({ length: wanted }, (_, tier) => now[tier] ?? Math.min(256, (now[tier - 1] ?? now.at(-1) * 2 ** (tier - now.length + 1)))));
      this.draw();
      document.getElementById('k-num_tiers').focus();
    } });
    return h('section', { class: 'card' }, h('h2', {}, 'Tiers'),
      h('p', { class: 'faint' }, 'Tier 0 learns at every step; a tier with period f at every f-th, so that it keeps for longer what it has.'),
      h('div', { class: 'fields' }, h('div', {}, h('label', { for: 'k-num_tiers' }, 'Number of tiers'), count), this.field('tier_assignment_strategy')),
      h('h3', { id: 'periods' }, 'Steps between updates'), list);
  }

  periods() {
    const given = this.value('tier_update_frequencies');
    return this.value('num_tiers') === 1 && !this.values.tier_update_frequencies ? [1] : [...given];
  }

  setPeriods(periods) {
    this.set('num_tiers', periods.length);
    this.set('tier_update_frequencies', periods);
    this.drawPicture();
  }

  tier(period, tier) {
    const id = `period-${tier}`;
    const change = (text, other) => {
      const number = Math.min(1e9, Math.max(1, Math.round(Number(text)) || 1));
      const periods = this.periods();
      periods[tier] = number;
      other(number);
      slider.setAttribute('aria-valuetext', `${number} steps`);
      this.setPeriods(periods);
    };
    // The slider goes by powers of two, so that small periods have as much room as large ones.
    const place = (steps) => Math.min(8, Math.log2(steps));
    const slider = h('input', { type: 'range', min: 0, max: 8, step: 0.05, value: place(period), 'aria-label': `Period of tier ${tier}`, 'aria-valuetext': `${period} steps`, oninput: () => change(2 ** slider.value, (steps) => { number.value = steps; }) });
    const number = h('input', { type: 'number', id, min: 1, value: period, onchange: () => change(number.value, (steps) => { number.value = steps; slider.value = place(steps); }) });
    return h('div', { class: 'tier' }, h('label', { for: id }, tierDot(tier), `Tier ${tier}`), slider, number);
  }

  drawPicture() {
    const periods = this.periods(), steps = Number(this.value('num_steps')) || 1000;
    const share = periods.reduce((sum, period) => sum + 1 / period, 0) / periods.length;
    const still = periods.map((period, tier) => [tier, Math.floor(steps / period)]).filter(([, updates]) => updates < 10);
    const isAscending = periods.every((period, i) => i === 0 || period >= periods[i - 1]);
    fill(this.picture, raster(periods, 32),
      h('p', {}, `${Math.round(share * 100)} % of the updates of plain fine-tuning, if tiers are alike in size. In ${steps} steps: `,
        periods.map((period, tier) => `tier ${tier} ${Math.floor(steps / period)}`).join(', '), ' updates.'),
      isAscending ? null : h('p', { class: 'warn' }, 'Periods may not descend from one tier to the next.'),
      still.map(([tier, updates]) => h('p', { class: 'warn' }, `Tier ${tier} is updated ${updates} times in this run: too seldom to learn much.`)));
  }

  // The other keys, by their groups in the key table.
  others() {
    const shown = new Set([...own, ...Object.values(first).flat()]);
    const rest = this.keys.filter((key) => !shown.has(key.name));
    const groups = [...new Set(rest.map((key) => key.group))];
    const sections = groups.map((group) => h('details', { open: rest.some((key) => key.group === group && key.name in this.values) },
      h('summary', {}, group, h('span', { class: 'faint' }, ` · ${rest.filter((key) => key.group === group).length} keys`)),
      h('div', { class: 'fields' }, rest.filter((key) => key.group === group).map((key) => this.field(key.name)))));
    const none = h('p', { class: 'faint', hidden: true }, 'No key has that in its name or its help.');
    const search = h('input', { type: 'search', id: 'search', placeholder: 'as in: seed, replay, checkpoint', oninput: () => {
      const text = search.value.trim().toLowerCase();
      let found = 0;
      for (const section of sections) {
        let here = 0;
        for (const field of section.querySelectorAll('[data-key]')) {
          const key = this.key[field.dataset.key];
          field.hidden = text !== '' && !(key.name + ' ' + title(key.name) + ' ' + key.help).toLowerCase().includes(text);
          if (!field.hidden) here++;
        }
        section.hidden = here === 0;
        if (text) section.open = here > 0;
        found += here;
      }
      none.hidden = found > 0;
    } });
    return h('section', { class: 'card' }, h('h2', {}, 'Everything else'), h('div', {}, h('label', { for: 'search' }, 'Find a key'), search), none, sections);
  }

  importer() {
    const text = h('textarea', { id: 'import', rows: 5, class: 'mono', placeholder: '{"num_steps": 500} or num_steps: 500' });
    const said = h('div', {});
    return h('section', { class: 'card' }, h('details', {}, h('summary', {}, 'Import a config'), h('label', { for: 'import' }, 'JSON, or YAML with one key a line'), text,
      h('p', {}, h('button', { type: 'button', onclick: () => {
        try {
          const values = parse(text.value);
          const unknown = Object.keys(values).filter((key) => !this.key[key]);
          if (unknown.length) throw new Error(`${unknown.join(', ')}: no such key`);
          delete values.output_path;
          this.values = values;
          this.keep();
          this.draw();
          say('The config was imported');
        } catch (error) { fill(said, problem(error)); }
      } }, 'Take it over')), said));
  }

  // One key: its name, its control, its help.
  field(name) {
    const key = this.key[name];
    const id = 'k-' + name, control = this.control(key, id);
    const box = h('div', { 'data-key': name, class: name in this.values ? 'changed' : '' },
      h('label', { for: id, title: name }, title(name), key.required ? h('span', { class: 'faint' }, ' (needed)') : null), control,
      h('p', { class: 'hint', id: id + '-help' }, helps[name] || key.help), h('p', { class: 'problem', id: id + '-problem' }));
    control.setAttribute('aria-describedby', `${id}-help ${id}-problem`);
    this.fields[name] = box;
    return box;
  }

  control(key, id) {
    const given = this.values[key.name], standard = this.standard(key.name);
    const shown = standard === null || standard === undefined ? '' : typeof standard === 'object' ? (Array.isArray(standard) ? standard.join(', ') : JSON.stringify(standard)) : String(standard);
    const options = this.options(key);
    if (options && (given === undefined || typeof given === 'string')) {
      const select = h('select', { id, onchange: () => this.set(key.name, select.value) }, h('option', { value: '' }, key.required ? 'choose …' : shown === '' ? 'none' : `${shown} (default)`),
        options.map(([value, text]) => h('option', { value }, text)));
      if (given !== undefined && !options.some(([value]) => value === given)) select.append(h('option', { value: given }, given));
      select.value = given ?? '';
      return select;
    }
    if (key.kind === 'boolean') {
      const select = h('select', { id, onchange: () => this.set(key.name, select.value === '' ? undefined : select.value === 'true') },
        h('option', { value: '' }, `${standard ? 'yes' : 'no'} (default)`), h('option', { value: 'true' }, 'yes'), h('option', { value: 'false' }, 'no'));
      select.value = given === undefined ? '' : String(given);
      return select;
    }
    if (['objects', 'number_map', 'tier_map'].includes(key.kind)) {
      const area = h('textarea', { id, rows: 2, class: 'mono', placeholder: shown, spellcheck: 'false', onchange: () => this.set(key.name, read(area.value, key)) });
      area.value = given === undefined ? '' : typeof given === 'object' ? JSON.stringify(given) : String(given);
      return area;
    }
    const isNumber = ['integer', 'number'].includes(key.kind);
    const input = h('input', { id, type: 'text', inputmode: isNumber ? 'decimal' : null, placeholder: shown, spellcheck: 'false', autocomplete: 'off', onchange: () => { this.set(key.name, read(input.value, key)); if (key.name === 'num_steps') this.drawPicture(); } });
    input.value = given === undefined ? '' : Array.isArray(given) && given.every((item) => typeof item !== 'object') ? given.join(', ') : typeof given === 'object' ? JSON.stringify(given) : String(given);
    return input;
  }

  options(key) {
    if (key.kind === 'choice') return key.choices.map((word) => [word, word]);
    if (key.name === 'base_model_path') return this.lists.base_model_path.map((model) => [model.id || model.path, `${model.id || model.path} · ${model.model_type}, ${bytes(model.bytes)}`]);
    if (key.name === 'adapter_path') return this.lists.adapter_path.map((adapter) => [adapter.id, adapter.id]);
    if (key.kind === 'path') return this.lists.data.map((file) => [file.id, `${file.id} · ${bytes(file.bytes)}`]);
    return null;
  }

  showError(error) {
    for (const box of this.place.querySelectorAll('[data-key] .problem')) box.textContent = '';
    for (const control of this.place.querySelectorAll('[aria-invalid]')) control.removeAttribute('aria-invalid');
    const field = this.fields[error.field], control = field?.querySelector('input, select, textarea');
    fill(this.trouble, problem(error.field ? Object.assign(new Error(`${title(error.field)}: ${error.message}`), { hint: error.hint }) : error));
    if (!control) return;
    field.closest('details')?.setAttribute('open', '');
    field.querySelector('.problem').textContent = error.message + (error.hint ? ` (${error.hint})` : '');
    control.setAttribute('aria-invalid', 'true');
    control.focus();
  }

  async start(button) {
    button.disabled = true;
    try {
      const answer = await post('start', this.values);
      delete this.values.experiment_name;
      this.keep();
      location.hash = '#/run/' + name(answer.experiment_name);
    } catch (error) { this.showError(error); }
    button.disabled = false;
  }

  async check() {
    fill(this.trouble);
    fill(this.result, h('section', { class: 'card' }, h('p', { role: 'status' }, 'Reading model and data …')));
    try {
      const preview = await post('preview', this.values);
      fill(this.result, this.preview(preview));
      say('The config is sound');
    } catch (error) { fill(this.result); this.showError(error); }
  }

  preview(one) {
    const { estimate } = one;
    return h('section', { class: 'card' }, h('h2', {}, 'This is what would be trained'), one.warnings.map((text) => h('p', { class: 'warn' }, text)),
      table('Tiers', [{ title: 'Tier' }, { title: 'Every', num: true }, { title: 'Updates', num: true }, { title: 'Parameters', num: true }],
        one.tiers.map((tier) => [h('span', {}, tierDot(tier.tier), String(tier.tier) + (tier.config_tier === undefined ? '' : `, as ${tier.config_tier}`)), String(tier.frequency), String(tier.updates), tier.parameter_count.toLocaleString()])),
      one.layers.length ? [h('h3', {}, 'Layers'), h('div', { class: 'layers', role: 'img', 'aria-label': 'Tiers of the layers: ' + one.layers.map((layer) => `${layer.layer} in ${layer.tiers.join(' and ')}`).join(', ') },
        one.layers.map((layer) => h('span', { class: `t${layer.tiers[0] % 6}`, title: `layer ${layer.layer}: tier ${layer.tiers.join(', ')}` }, String(layer.layer))))] : null,
      facts([['Model', bytes(estimate.model_bytes)], ['State of training', bytes(estimate.state_bytes)], ['Each checkpoint', bytes(estimate.checkpoint_bytes)],
        ['Time', estimate.seconds === null ? 'unknown' : duration(estimate.seconds)]]),
      h('p', { class: 'hint' }, estimate.seconds === null ? 'How long it takes shows once a run of this model has begun.' : `As ${estimate.seconds_from} took for its steps.`),
      h('h3', {}, 'Data'), one.data.error ? problem(new Error(one.data.error)) : one.data.files.map((file) => this.dataReport(file)),
      h('details', {}, h('summary', {}, 'As a command'), copyButton(() => one.command_line), h('pre', { tabindex: 0 }, one.command_line)),
      h('details', {}, h('summary', {}, 'As YAML'), copyButton(() => one.yaml), h('pre', { tabindex: 0 }, one.yaml)));
  }

  dataReport(file) {
    const numbers = Object.entries(file).filter(([, value]) => typeof value === 'number');
    return h('div', {}, h('p', { class: 'mono' }, file.file.split('/').at(-1)),
      h('p', { class: 'faint' }, numbers.map(([key, value]) => `${key.replaceAll('_', ' ')} ${decimal(value, 6)}`).join(' · ')),
      file.examples.map((example) => h('div', {}, h('p', { class: 'hint' }, `Line ${example.line}: ${example.tokens} tokens; what is marked is learned (${example.trained_tokens})`),
        h('div', { class: 'example' }, example.parts.map((part) => (part.trained ? h('mark', {}, part.text) : part.text))))));
  }
}

// A copy says so by its name: a number at the end of one, as of `periods-1-8-64`, belongs to it, and is not counted up.
function copyName(run, taken) {
  const stem = run.replace(/-copy(-\d+)?$/, '') + '-copy';
  let copy = stem;
  for (let number = 2; taken.has(copy); number += 1) copy = `${stem}-${number}`;
  return copy;
}

// What stands in a field, as the config has it; what cannot be read so goes as text, and the service says what is wrong.
function read(text, key) {
  text = text.trim();
  if (text === '') return undefined;
  if (['integer', 'number'].includes(key.kind)) return Number.isFinite(Number(text)) ? Number(text) : text;
  if (/^[[{]/.test(text)) { try { return JSON.parse(text); } catch { return text; } }
  if (['integers', 'numbers', 'choice_or_numbers'].includes(key.kind)) {
    const items = text.split(/[\s,]+/).map(Number);
    if (items.every(Number.isFinite)) return items.length === 1 && key.kind !== 'integers' ? items[0] : items;
    return text;
  }
  if (key.kind === 'strings') return text.split(/[\s,]+/);
  return text;
}

function parse(text) {
  text = text.trim();
  if (text.startsWith('{')) return JSON.parse(text);
  const values = {};
  for (const line of text.split('\n')) {
    const match = line.replace(/\s+#.*$/, '').match(/^([a-z_0-9]+):\s*(.*)$/);
    if (!match) { if (line.trim() && !line.trim().startsWith('#')) throw new Error(`not one key: value: ${line.trim()}`); continue; }
    try { values[match[1]] = JSON.parse(match[2]); } catch { values[match[1]] = match[2].replace(/^'(.*)'$/, '$1'); }
  }
  return values;
}
