// What waits for its turn, and its order: changed by dragging a handle, by the arrow keys on it, or by buttons.
import { post } from './api.js';
import { fill, h, problem, say } from './elements.js';

export class Queue {
  // `after` is called once an order has been sent, whatever became of it.
  constructor(after) {
    this.after = after;
    this.part = h('section', { class: 'card', hidden: true });
    this.list = h('ol', { class: 'queue', 'aria-label': 'Runs that wait' });
    this.trouble = h('div', {});
    fill(this.part, h('h2', {}, 'Waiting for their turn'),
      h('p', { class: 'hint', id: 'queue-help' }, 'The first begins as soon as there is room. Drag a run by its handle, or go to the handle and press the arrow keys, Home or End.'), this.list, this.trouble);
  }

  // `experiments`: by their names. While something is dragged, or on its way, the list stays as it is.
  show(waiting, experiments) {
    this.part.hidden = !waiting.length && !this.trouble.childElementCount;
    if (this.dragged || this.isSending) return;
    this.order = waiting;
    // What stands there already keeps the focus, and the pointer.
    if (this.drawn() === waiting.join('\n')) return;
    const focused = this.list.contains(document.activeElement) ? document.activeElement.id : undefined;
    fill(this.list, waiting.map((run) => this.item(run, experiments.get(run))));
    this.number();
    if (focused) document.getElementById(focused)?.focus();
  }

  item(run, experiment) {
    const handle = h('button', { type: 'button', class: 'handle', id: 'move-' + run, 'aria-describedby': 'queue-help', onkeydown: (event) => this.key(event, run), onpointerdown: (event) => this.grab(event) }, h('span', { 'aria-hidden': 'true' }, '⠿'));
    const button = (id, text, label, act) => h('button', { type: 'button', class: 'small', id: `${id}-${run}`, 'aria-label': label, onclick: act }, text);
    const steps = experiment?.total_steps;
    return h('li', { 'data-run': run }, handle, h('a', { href: '#/run/' + encodeURIComponent(run) }, run), h('span', { class: 'faint' }, steps ? `${steps.toLocaleString()} steps` : ''),
      h('span', { class: 'actions' }, button('up', 'Earlier', `Let ${run} begin earlier`, () => this.move(run, this.order.indexOf(run) - 1)), button('down', 'Later', `Let ${run} begin later`, () => this.move(run, this.order.indexOf(run) + 1)),
        button('stop', 'Cancel', `Take ${run} out of the queue`, () => this.send('stop', { experiment_name: run }, `${run} is out of the queue`))));
  }

  drawn() { return [...this.list.children].map((item) => item.dataset.run).join('\n'); }

  // What depends on the place alone.
  number() {
    const items = [...this.list.children];
    items.forEach((item, place) => {
      const run = item.dataset.run;
      item.querySelector('.handle').setAttribute('aria-label', `Move ${run}, number ${place + 1} of ${items.length}`);
      item.querySelector('[id^="up-"]').disabled = place === 0;
      item.querySelector('[id^="down-"]').disabled = place === items.length - 1;
    });
  }

  key(event, run) {
    const now = this.order.indexOf(run), last = this.order.length - 1;
    const wanted = { ArrowUp: now - 1, ArrowDown: now + 1, Home: 0, End: last }[event.key];
    if (wanted === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    this.move(run, wanted);
  }

  move(run, place) {
    const now = this.order.indexOf(run);
    place = Math.max(0, Math.min(this.order.length - 1, place));
    if (now < 0 || place === now) return;
    const focused = document.activeElement?.id, order = this.order.filter((other) => other !== run);
    order.splice(place, 0, run);
    const items = new Map([...this.list.children].map((item) => [item.dataset.run, item]));
    this.list.append(...order.map((name) => items.get(name)));
    this.number();
    // A button that is at the end of its way can hold the focus no more; the handle can.
    const target = document.getElementById(focused);
    (target && !target.disabled ? target : document.getElementById('move-' + run))?.focus();
    this.commit(order, run);
  }

  // The others give way while the handle is held; the run itself stays in the document, so that it keeps the pointer.
  grab(event) {
    if (event.button !== 0 || this.order.length < 2) return;
    const handle = event.currentTarget, item = handle.closest('li'), before = this.order;
    this.dragged = item.dataset.run;
    item.classList.add('dragged');
    handle.setPointerCapture(event.pointerId);
    const move = ({ clientY }) => {
      for (let other = item.previousElementSibling; other && clientY < middle(other); other = item.previousElementSibling) item.after(other);
      for (let other = item.nextElementSibling; other && clientY > middle(other); other = item.nextElementSibling) item.before(other);
    };
    const end = (isWanted) => {
      handle.removeEventListener('pointermove', move);
      handle.removeEventListener('pointerup', drop);
      handle.removeEventListener('pointercancel', give);
      removeEventListener('keydown', escape, true);
      item.classList.remove('dragged');
      this.dragged = undefined;
      this.number();
      const order = this.drawn().split('\n');
      if (isWanted && order.join('\n') !== before.join('\n')) this.commit(order, item.dataset.run); else this.after();
    };
    const drop = () => end(true), give = () => end(false);
    const escape = (key) => { if (key.key === 'Escape') { key.preventDefault(); end(false); } };
    handle.addEventListener('pointermove', move);
    handle.addEventListener('pointerup', drop);
    handle.addEventListener('pointercancel', give);
    addEventListener('keydown', escape, true);
  }

  commit(order, run) {
    this.order = order;
    return this.send('queue', { order }, `${run} is now number ${order.indexOf(run) + 1} of ${order.length}`);
  }

  // One request after the other; of orders that come meanwhile only the last is sent.
  async send(command, body, done) {
    this.next = [command, body, done];
    if (this.isSending) return;
    this.isSending = true;
    while (this.next) {
      const [path, content, text] = this.next;
      this.next = undefined;
      try {
        await post(path, content);
        fill(this.trouble);
        say(text);
      } catch (error) { fill(this.trouble, problem(error)); }
    }
    this.isSending = false;
    await this.after();
  }
}

function middle(element) {
  const { top, height } = element.getBoundingClientRect();
  return top + height / 2;
}
