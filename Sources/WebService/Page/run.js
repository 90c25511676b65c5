// Run: how one run stands, live, and how it got there; all of it from its ledger.
import { ApiError, download, follow, get, name as escaped, post, remove } from './api.js';
import { Curves } from './curves.js';
import { bytes, copyButton, decimal, duration, facts, fill, h, pill, problem, say, table, tierDot, when } from './elements.js';
import { Metrics } from './metrics.js';
import { Trial } from './trial.js';

export async function run(place, { name, query }) {
  const view = new RunView(place, name, query);
  await view.begin();
  return () => view.end();
}

class RunView {
  constructor(place, name, query) {
    Object.assign(this, { place, name, filter: '', weight: Number(query.get('smoothing') ?? 0.9), isLog: query.get('log') === '1' });
  }

  async begin() {
    this.recolour = () => this.curves?.again();
    addEventListener('recolour', this.recolour);
    this.take(await get('status' + (this.name ? '?experiment=' + escaped(this.name) : '')));
    this.stop = follow(this.name, (status) => this.take(status));
    this.timer = setInterval(() => this.details(), 5000);
  }

  end() {
    this.stop?.();
    clearInterval(this.timer);
    removeEventListener('recolour', this.recolour);
    this.curves?.close();
    this.trial?.stop();
    this.exported?.abort();
  }

  take(status) {
    if (status.status === undefined) return;
    // The last run may have become another one: all that is shown is to be of one run.
    if (status.experiment_name !== this.shown) { this.draw(status); }
    if (!status.experiment_name) return;
    const before = this.status?.status;
    this.status = status;
    this.showStatus(status);
    if (before && before !== status.status) { say(`${status.experiment_name} is ${status.status}`); this.details(); }
    if (status.current_step !== this.metrics.lastStep || before !== status.status) this.fetchMetrics();
  }

  draw(status) {
    this.trial?.stop();
    this.shown = status.experiment_name;
    Object.assign(this, { metrics: new Metrics(this.shown, 10000), status: undefined });
    if (!status.experiment_name) {
      return fill(this.place, h('section', { class: 'card empty' }, h('h1', {}, 'No run yet'),
        h('p', {}, 'Put a model below the models folder and data below the data folder of the service, or upload data, and start.'),
        h('a', { class: 'button primary', href: '#/new' }, 'New run')));
    }
    this.head = h('section', { class: 'card' });
    this.body = h('div', {});
    this.curves?.close();
    this.curves = Object.assign(new Curves(), { weight: this.weight, isLog: this.isLog });
    fill(this.place, this.head, h('section', { class: 'card' }, h('div', { class: 'row spread' }, h('h2', {}, 'Curves'), this.controls()), this.curves.grid), this.body);
    this.parts = { tiers: h('section', { class: 'card' }), workers: h('section', { class: 'card' }), checkpoints: h('section', { class: 'card' }), trial: (this.trial = new Trial()).part, names: h('section', { class: 'card' }), faults: h('section', { class: 'card' }), log: h('section', { class: 'card' }), config: h('section', { class: 'card' }) };
    fill(this.body, Object.values(this.parts));
    this.drawLog();
    this.details();
  }

  controls() {
    const range = h('input', { type: 'range', id: 'smoothing', min: 0, max: 0.99, step: 0.01, value: this.weight, oninput: () => { this.curves.weight = this.weight = Number(range.value); this.redraw(); } });
    const log = h('input', { type: 'checkbox', id: 'log', onchange: () => { this.curves.isLog = this.isLog = log.checked; this.redraw(); } });
    log.checked = this.isLog;
    return h('div', { class: 'row' }, h('label', { for: 'smoothing' }, 'Smoothing'), h('span', {}, range), h('label', { for: 'log' }, 'Logarithmic'), log);
  }

  remember() {
    const query = new URLSearchParams({ smoothing: this.weight, ...(this.isLog ? { log: 1 } : {}) });
    history.replaceState(null, '', `#/run${this.name ? '/' + escaped(this.name) : ''}?${query}`);
  }

  showStatus(status) {
    const total = status.total_steps || 0, share = total ? status.current_step / total : 0;
    const { best } = this.metrics, last = this.metrics.rows.at(-1), isOver = ['completed', 'stopped', 'error'].includes(status.status);
    const focused = document.activeElement?.dataset?.command;
    fill(this.head, h('div', { class: 'row spread' }, h('div', {}, h('h1', {}, status.experiment_name, ' ', pill(status.status))), this.buttons(status)),
      status.message ? h('p', { class: status.status === 'error' ? 'problem' : 'faint' }, status.message) : null,
      (status.warnings || []).map((text) => h('p', { class: 'warn' }, text)),
      h('progress', { max: 1, value: share, 'aria-label': `Step ${status.current_step} of ${total}` }),
      facts([['Step', `${status.current_step.toLocaleString()} of ${total.toLocaleString()}`],
        status.replayed_step !== undefined ? ['Computed again up to', String(status.replayed_step)] : null,
        isOver ? null : ['To go', duration(status.eta_seconds)], ['Loss', decimal(last?.loss)],
        ['Best evaluation', best ? `${decimal(best.loss)} after ${best.step}` : '–'], ['Tokens a second', decimal(last?.tokens_per_second, 3)], ['Workers', String(status.workers.length)]]));
    if (focused) this.head.querySelector(`[data-command=${focused}]`)?.focus();
    this.drawTiers(status);
    this.drawWorkers(status);
  }

  buttons(status) {
    const run = status.experiment_name;
    const button = (command, text) => h('button', { type: 'button', 'data-command': command, onclick: async (event) => {
      event.target.disabled = true;
      try { say((await post(command, { experiment_name: run })).message); } catch (error) { this.head.append(problem(error)); }
      this.take(await get('status?experiment=' + escaped(run)));
    } }, text);
    const is = (...states) => states.includes(status.status);
    return h('div', { class: 'row' }, is('running', 'queued') ? button('pause', 'Pause') : null, is('paused', 'stopped') || (is('error') && status.current_step > 0) ? button('resume', 'Resume') : null,
      is('running', 'queued', 'paused') ? button('stop', 'Stop') : null,
      h('a', { class: 'button', href: '#/new?from=' + escaped(run) }, 'Duplicate'),
      is('completed', 'stopped', 'error') ? this.deleteButton(run) : null,
      h('a', { class: 'button', href: `/nested-learning/experiments/${escaped(run)}/report`, download: '' }, 'Save as a page'));
  }

  // Asked for twice: what a run wrote is nowhere else.
  deleteButton(run) {
    const button = h('button', { type: 'button', 'data-command': 'delete', onclick: async () => {
      if (!this.isSure) { this.isSure = true; button.textContent = 'Delete for good?'; setTimeout(() => { this.isSure = false; button.textContent = 'Delete'; }, 5000); return; }
      try { await remove('experiments/' + escaped(run)); say(`${run} is deleted`); location.hash = '#/runs'; } catch (error) { this.head.append(problem(error)); }
    } }, this.isSure ? 'Delete for good?' : 'Delete');
    return button;
  }

  async fetchMetrics() {
    if (!this.shown) return;
    // News that come while an answer is on its way may be of something that is not in it.
    if (this.isFetching) { this.isStale = true; return; }
    this.isFetching = true;
    this.isStale = false;
    const metrics = this.metrics;
    try {
      await metrics.fetch();
      if (metrics === this.metrics) {
        this.curves.show(metrics.rows, metrics.evaluations);
        if (this.status) this.showStatus(this.status);
      }
    } catch (error) {
      // The next news asks again, and a service that does not answer is said above.
      if (!(error instanceof ApiError)) throw error;
    } finally { this.isFetching = false; }
    if (this.isStale) await this.fetchMetrics();
  }

  // At most once a frame, and only what smoothing changes, so that the slider stays smooth with long runs.
  redraw() {
    if (this.isDrawing) return;
    this.isDrawing = true;
    requestAnimationFrame(() => { this.isDrawing = false; this.remember(); this.curves.drawLoss(); });
  }

  drawTiers(status) {
    const stats = Object.entries(status.tier_stats);
    fill(this.parts.tiers, h('h2', {}, 'Tiers'), table('Tiers', [{ title: 'Tier' }, { title: 'Every', num: true }, { title: 'Updates', num: true }, { title: 'Expected', num: true }, { title: 'Parameters', num: true }, { title: '' }],
      stats.map(([key, tier], index) => {
        // By the periods that were in force; a run of several plans has had others.
        const expected = tier.due_updates ?? Math.floor(status.current_step / tier.frequency);
        return [h('span', {}, tierDot(index), key.replace('_', ' ') + (tier.config_tier === undefined ? '' : `, as ${tier.config_tier}`)), String(tier.frequency), tier.update_count.toLocaleString(), expected.toLocaleString(), tier.parameter_count?.toLocaleString(),
          status.current_step > 0 && tier.update_count === 0 ? h('span', { class: 'warn' }, 'has not moved yet') : ''];
      })));
  }

  drawWorkers(status) {
    fill(this.parts.workers, h('h2', {}, 'Workers'), status.workers.length ? table('Workers', [{ title: 'Worker' }, { title: 'State' }, { title: 'What for' }, { title: 'Shards', num: true }, { title: 'Memory', num: true }, { title: 'Last sign of life', num: true }],
      status.workers.map((worker) => [`${worker.id} · ${worker.host}, process ${worker.process}, ${worker.threads} threads`, worker.state, worker.reason, worker.shards_done.toLocaleString(), bytes(worker.resident_bytes), `${decimal(worker.heard, 2)} s ago`]))
      : h('p', { class: 'faint' }, ['running', 'queued'].includes(status.status) ? 'None is at this run yet.' : 'None is at this run now; who computed what stands below.'));
  }

  async details() {
    const run = this.shown;
    if (!run) return;
    try {
      const status = await get('status?experiment=' + escaped(run));
      // One that waits, or could not begin, has no folder yet.
      const hasFolder = status.current_step > 0 || !['queued', 'error'].includes(status.status);
      const details = hasFolder ? await get('experiments/' + escaped(run)).catch((error) => { if (error.status === 404) return null; throw error; }) : null;
      if (run !== this.shown) return;
      this.lines = status.recent_logs;
      this.fillLog();
      if (!details) return;
      this.drawCheckpoints(details);
      this.trial.show(run, details.checkpoints, details.config.base_model_path);
      this.drawNames(details);
      this.drawFaults(details);
      this.drawConfig(details);
    } catch (error) {
      // Asked again in five seconds.
      if (!(error instanceof ApiError)) throw error;
    }
  }

  // What has not changed is left as it is, with what is open in it and how far it is scrolled.
  isNews(part, value) {
    const text = this.shown + JSON.stringify(value);
    this.drawn ??= {};
    if (this.drawn[part] === text) return false;
    this.drawn[part] = text;
    return true;
  }

  drawCheckpoints({ checkpoints, config }) {
    this.base = config.base_model_path;
    if (!this.isNews("checkpoints", checkpoints)) return;
    fill(this.parts.checkpoints, h('h2', {}, 'Checkpoints'), checkpoints.length ? table('Checkpoints', [{ title: 'Name' }, { title: 'After step', num: true }, { title: 'Best loss until then', num: true }, { title: 'Size', num: true }, { title: 'Written' }, { title: 'Take along' }],
      checkpoints.map((one) => [h('span', {}, one.name, ' ', one.name === 'best' ? h('span', { class: 'pill best' }, 'lowest validation loss') : null), String(one.step), decimal(one.best_val_loss), h('span', { class: 'nowrap' }, bytes(one.files.reduce((sum, file) => sum + file.bytes, 0))), h('span', { class: 'nowrap' }, when(one.written_at)), h('div', {}, h('div', { class: 'actions' }, h('a', { class: 'button small', href: this.archive(one), download: '', 'aria-label': `Download ${one.name}` }, 'Download'), h('a', { class: 'button small', href: this.archive(one) + '?form=peft', download: '', 'aria-label': `Download ${one.name} for PEFT` }, 'For PEFT')), this.exports(one), h('details', {}, h('summary', {}, `${one.files.length} files`), h('code', {}, one.path), h('ul', {}, one.files.map((file) => h('li', {}, h('a', { href: `/nested-learning/experiments/${escaped(this.shown)}/checkpoints/${escaped(one.name)}/${escaped(file.name)}`, download: file.name }, file.name), ` ${bytes(file.bytes)}`)))))]))
      : h('p', { class: 'faint' }, 'None yet.'));
  }

  archive(checkpoint) { return `/nested-learning/experiments/${escaped(this.shown)}/checkpoints/${escaped(checkpoint.name)}`; }

  // Forms that are made when they are asked for, by the service or by hand.
  exports({ name, path }) {
    const quoted = (text) => `'${text.replaceAll("'", `'\\''`)}'`, output = quoted(`${this.shown}-${name}`), base = quoted(this.base);
    const command = (what, text) => h('div', {}, h('div', { class: 'row spread' }, h('span', { class: 'label' }, what), copyButton(() => text)), h('pre', { tabindex: 0 }, text));
    const said = h('div', { role: 'status' });
    const make = (form, text) => h('button', { type: 'button', class: 'small', 'aria-label': `${text}: make and download ${name}`, onclick: (event) => this.make(event.target, `${this.archive({ name })}?form=${form}`, said) }, text);
    return h('details', {}, h('summary', {}, 'In another form'), h('p', { class: 'hint' }, 'Made when you ask for it, with what the machine has left; a large model takes a while.'),
      h('div', { class: 'actions' }, make('gguf', 'Adapter for llama.cpp'), make('merged', 'Whole model'), make('merged_gguf', 'Whole model for llama.cpp')), said,
      h('details', {}, h('summary', {}, 'By hand'),
        command('Adapter for llama.cpp', `nl-tool export --format gguf --adapter ${quoted(path)} --model ${base} --output ${output}.gguf`),
        command('Whole model', `nl-tool merge --model ${base} --adapter ${quoted(path)} --output ${output}`),
        command('Whole model for llama.cpp, out of that', `nl-tool export --format gguf --model ${output} --output ${output}.gguf`)));
  }

  // One at a time; who leaves the view, or asks for no more, ends what is being made.
  async make(button, path, said) {
    const cancel = h('button', { type: 'button', class: 'small', onclick: () => this.exported?.abort() }, 'Cancel');
    const text = h('span', {}, 'It is being made …');
    this.exported?.abort();
    const mine = this.exported = new AbortController();
    button.disabled = true;
    fill(said, h('p', { class: 'row hint' }, text, cancel));
    try {
      const file = await download(path, mine.signal, (received, total) => { text.textContent = `${bytes(received)} of ${bytes(total)}`; });
      fill(said, h('p', { class: 'hint' }, `${file} has been downloaded.`));
    } catch (error) { fill(said, error.name === 'AbortError' ? h('p', { class: 'hint' }, 'It was given up.') : problem(error)); }
    button.disabled = false;
  }

  drawNames({ tags, status }) {
    const run = this.shown, isOver = ['completed', 'stopped', 'error'].includes(status);
    if (!this.isNews('names', [tags, isOver])) return;
    const name = h('input', { id: 'new-name', value: run, disabled: !isOver }), words = h('input', { id: 'tags', value: tags.join(', '), placeholder: 'none' });
    const said = h('div', {});
    const act = (form, path, body, done) => h('form', { class: 'row', onsubmit: async (event) => {
      event.preventDefault();
      try { done(await post(`experiments/${escaped(run)}/${path}`, body())); fill(said); } catch (error) { fill(said, problem(error)); }
    } }, form);
    fill(this.parts.names, h('h2', {}, 'Name and tags'), h('div', { class: 'names' },
      act([h('div', {}, h('label', { for: 'new-name' }, 'Name of the run'), name), h('button', { type: 'submit', disabled: !isOver }, 'Rename')], 'rename', () => ({ experiment_name: name.value.trim() }), (answer) => { say(answer.message); location.hash = '#/run/' + escaped(answer.experiment_name); }),
      act([h('div', {}, h('label', { for: 'tags' }, 'Tags, with commas between'), words), h('button', { type: 'submit' }, 'Save tags')], 'tags', () => ({ tags: words.value.split(',').map((tag) => tag.trim()).filter(Boolean) }), (answer) => { words.value = answer.tags.join(', '); say('The tags are saved'); })), said,
      isOver ? null : h('p', { class: 'hint' }, 'A run can be renamed once nobody is at it.'));
  }

  drawFaults({ ledger }) {
    if (!this.isNews("ledger", [ledger.workers.map((one) => [one.left_reason, one.outcomes]), ledger.returns, ledger.quarantined, ledger.starts])) return;
    const lines = [];
    for (const worker of ledger.workers) {
      lines.push([worker.joined_at, `worker ${worker.worker} joined from ${worker.host}${worker.local ? ', local' : ''} (start ${worker.term})`]);
      const bad = Object.entries(worker.outcomes).filter(([outcome]) => !['committed', 'verified'].includes(outcome));
      if (bad.length) lines.push([worker.joined_at, `worker ${worker.worker}: hand-outs that did not count: ${bad.map(([outcome, count]) => `${count} ${outcome}`).join(', ')}`]);
      if (worker.left_reason) lines.push([worker.joined_at, `worker ${worker.worker} left: ${worker.left_reason}`]);
    }
    for (const one of ledger.returns) lines.push([one.at, `went back from step ${one.from_step} to ${one.to_step} (${one.reason})`]);
    for (const one of ledger.quarantined) lines.push([one.at, `${one.identity} is in quarantine: ${one.reason}`]);
    lines.sort((a, b) => (a[0] < b[0] ? -1 : 1));
    fill(this.parts.faults, h('h2', {}, 'What happened'), h('p', { class: 'faint' }, `Begun ${ledger.starts === 1 ? 'once' : ledger.starts + ' times'}; ${duration(ledger.seconds)} of steps.`),
      h('ol', { class: 'log' }, lines.slice(-200).map(([time, text]) => h('li', {}, h('span', { class: 'faint' }, when(time) + ' '), text))));
  }

  drawConfig({ config, folder, program }) {
    if (this.parts.config.childElementCount) return;
    fill(this.parts.config, h('h2', {}, 'Config'), h('p', { class: 'faint' }, `As the run has it, in ${folder}; begun by ${program}.`), h('details', {}, h('summary', {}, 'All keys'), h('pre', { tabindex: 0 }, JSON.stringify(config, null, 2))));
  }

  drawLog() {
    const search = h('input', { type: 'search', id: 'filter', oninput: () => { this.filter = search.value.toLowerCase(); this.fillLog(); } });
    this.log = h('ol', { class: 'log', tabindex: 0, 'aria-label': 'Log' });
    fill(this.parts.log, h('h2', {}, 'Log'), h('div', {}, h('label', { for: 'filter' }, 'Show lines with'), search), this.log);
  }

  fillLog() {
    const lines = (this.lines || []).filter((line) => line.message.toLowerCase().includes(this.filter));
    fill(this.log, lines.length ? lines.toReversed().map((line) => h('li', { class: line.level }, h('span', { class: 'faint' }, new Date(line.time).toLocaleTimeString() + ' '), line.message)) : h('li', { class: 'faint' }, 'No line since the service began.'));
  }
}
