// Try it: what a prompt becomes with a checkpoint and without, side by side.
import { write } from './api.js';
import { fill, h, problem, say } from './elements.js';

const forms = {
  text: ['Go on from a text', '/v1/completions', (prompt) => ({ prompt })],
  chat: ['Answer a message', '/v1/chat/completions', (prompt) => ({ messages: [{ role: 'user', content: prompt }] })],
};

export class Trial {
  constructor() {
    this.part = h('section', { class: 'card' });
    this.checkpoint = h('select', { id: 'trial-checkpoint' });
    this.form = h('select', { id: 'trial-form' }, Object.entries(forms).map(([value, [text]]) => h('option', { value }, text)));
    this.prompt = h('textarea', { id: 'trial-prompt', rows: 3 });
    this.tokens = h('input', { id: 'trial-tokens', type: 'number', min: 1, max: 4096, value: 60 });
    this.temperature = h('input', { id: 'trial-temperature', type: 'number', min: 0, max: 2, step: 0.1, value: 0 });
    this.seed = h('input', { id: 'trial-seed', type: 'number', min: 0, value: 42 });
    this.button = h('button', { type: 'submit', class: 'primary' }, 'Write');
    this.halt = h('button', { type: 'button', disabled: true, onclick: () => this.stop() }, 'Stop writing');
    this.texts = h('div', { class: 'trial' });
    this.said = h('div', {});
    const field = (label, input) => h('div', {}, h('label', { for: input.id }, label), input);
    this.whole = [h('h2', {}, 'Try it'), h('p', { class: 'faint' }, 'What is trained goes on meanwhile: texts are written with what the machine has left, one at a time.'),
      h('form', { onsubmit: (event) => { event.preventDefault(); this.begin(); } },
        h('div', { class: 'fields' }, field('Checkpoint', this.checkpoint), field('What to do', this.form), field('Tokens at most', this.tokens), field('Temperature', this.temperature), field('Seed of the choice', this.seed),
          h('div', { class: 'wide' }, h('label', { for: 'trial-prompt' }, 'Prompt'), this.prompt)),
        h('div', { class: 'row actions' }, this.button, this.halt)), this.said, this.texts];
  }

  // Drawn once there is something to try, and then left as it is, with what has been written.
  show(run, checkpoints, base) {
    if (this.run !== run) { this.stop(); fill(this.texts); fill(this.said); fill(this.part, h('h2', {}, 'Try it'), h('p', { class: 'faint' }, 'As soon as there is a checkpoint.')); this.isDrawn = false; }
    Object.assign(this, { run, base });
    if (!checkpoints.length) return;
    if (!this.isDrawn) { this.isDrawn = true; fill(this.part, this.whole); }
    const names = checkpoints.map((one) => one.name), chosen = this.checkpoint.value;
    fill(this.checkpoint, names.map((name) => h('option', { value: name }, name)));
    this.checkpoint.value = names.includes(chosen) ? chosen : ['best', 'final'].find((name) => names.includes(name)) ?? names.at(-1);
  }

  stop() { this.abort?.abort(); }

  async begin() {
    const [, path, input] = forms[this.form.value];
    const body = { ...input(this.prompt.value), max_tokens: Number(this.tokens.value), temperature: Number(this.temperature.value), seed: Number(this.seed.value) };
    const name = this.checkpoint.value;
    const columns = [[`With ${name}`, `${this.run}/checkpoints/${name}`], ['The base model', this.base]].map(([title, model]) => ({ title, model, text: h('p', { class: 'written', tabindex: 0, 'aria-label': title }) }));
    fill(this.said);
    fill(this.texts, columns.map(({ title, text }) => h('div', {}, h('h3', {}, title), text)));
    this.abort = new AbortController();
    [this.button.disabled, this.halt.disabled] = [true, false];
    try {
      for (const { title, model, text } of columns) {
        await write(path, { ...body, model }, (piece) => text.append(piece), this.abort.signal);
        say(`${title}: ${text.textContent}`);
      }
    } catch (error) {
      if (error.name !== 'AbortError') fill(this.said, problem(error));
    } finally { [this.button.disabled, this.halt.disabled] = [false, true]; }
  }
}
