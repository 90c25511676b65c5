// What the page asks the service, and what it is told without asking.
const prefix = '/nested-learning/';

export class ApiError extends Error {
  constructor(status, { error, field, hint }) {
    super(error || 'the service answered ' + status);
    Object.assign(this, { status, field, hint });
  }
}

let isReached = true;
function reached(isSo) {
  if (isSo === isReached) return;
  isReached = isSo;
  document.getElementById('offline').hidden = isSo;
}

async function ask(path, options) {
  let answer;
  try { answer = await fetch(path, options); } catch (error) {
    reached(false);
    throw new ApiError(0, { error: 'the service does not answer', hint: 'is nl-coord serve at work?' });
  }
  reached(true);
  if (answer.status === 401) { location.href = '/login' + location.hash; }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ApiError(answer.status, body);
  return body;
}

export const get = (path) => ask(prefix + path);
export const post = (path, body = {}) => ask(prefix + path, {
  method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body),
});
export const logOut = () => ask('/logout', { method: 'POST' });
export const remove = (path) => ask(prefix + path, { method: 'DELETE' });
export const name = encodeURIComponent;

// A file in pieces, so that no request is long and a broken one costs a piece.
const piece = 4 << 20;
export async function upload(file, tell) {
  for (let offset = 0; ; offset += piece) {
    const bytes = file.slice(offset, offset + piece);
    const query = `name=${name(file.name)}&size=${file.size}&offset=${offset}`;
    const answer = await ask(`${prefix}upload?${query}`, {
      method: 'POST', headers: { 'Content-Type': 'application/octet-stream' }, body: bytes,
    });
    tell(answer.received / answer.size);
    if (answer.complete) return answer;
  }
}

// Saves what the service makes for it under the name that it has there, and returns that; what is wrong is told in words, which a
// link could not do.
export async function download(path, signal, tell) {
  let answer;
  try { answer = await fetch(path, { signal }); } catch (error) { throw error.name === 'AbortError' ? error : new ApiError(0, { error: 'the service does not answer' }); }
  if (answer.status === 401) { location.href = '/login' + location.hash; }
  if (!answer.ok) throw new ApiError(answer.status, await answer.json().catch(() => ({})));
  const total = Number(answer.headers.get('Content-Length')), file = answer.headers.get('Content-Disposition')?.match(/filename="(.*)"/)?.[1] ?? 'checkpoint';
  let received = 0;
  const counted = answer.body.pipeThrough(new TransformStream({ transform(bytes, out) { received += bytes.length; tell(received, total); out.enqueue(bytes); } }));
  const url = URL.createObjectURL(await new Response(counted).blob());
  const link = Object.assign(document.createElement('a'), { href: url, download: file });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
  return file;
}

// Hands over the pieces of a text while it is written; whoever aborts it ends its computation.
export async function write(path, body, take, signal) {
  const answer = await fetch(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify({ ...body, stream: true }), signal });
  if (answer.status === 401) { location.href = '/login' + location.hash; }
  const failed = (error) => new ApiError(answer.status, { error: error?.message });
  if (!answer.ok) throw failed((await answer.json().catch(() => ({}))).error);
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  for (let rest = ''; ;) {
    const { done, value } = await reader.read();
    if (done) return;
    const lines = (rest + value).split('\n');
    rest = lines.pop();
    for (const line of lines.filter((one) => one.startsWith('data: {'))) {
      const event = JSON.parse(line.slice(6));
      if (event.error) throw failed(event.error);
      const [choice] = event.choices;
      take(choice?.delta?.content ?? choice?.text ?? '');
    }
  }
}

// Calls `take` with the status of a run at each change; the browser connects again by itself.
export function follow(run, take) {
  const source = new EventSource(prefix + 'events' + (run ? '?experiment=' + name(run) : ''));
  source.addEventListener('status', (event) => { reached(true); take(JSON.parse(event.data)); });
  source.addEventListener('error', () => reached(false));
  return () => source.close();
}
