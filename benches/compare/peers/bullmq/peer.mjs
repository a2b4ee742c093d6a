// BullMQ, on Redis.
//
// Settings: 100 tasks at once, done tasks removed, batches by `addBulk`. Its guide advises 100 to
// 300 for short waits; more made no difference here.
// Source: https://docs.bullmq.io/guide/workers/concurrency, .../queues/adding-bulks,
// .../queues/auto-removal-of-jobs

import { createInterface } from 'node:readline';

import { Queue, Worker } from 'bullmq';

const TEXT = 'x'.repeat(60);
const options = { removeOnComplete: true, removeOnFail: true };
const [mode, url, ...rest] = process.argv.slice(2);
const { hostname: host, port } = new URL(url);
const connection = { host, port: Number(port), maxRetriesPerRequest: null };
const words = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const say = (word) => process.stdout.write(`${word}\n`);
const nowUs = () => Math.round((performance.timeOrigin + performance.now()) * 1000);
const args = (number, at = 0) => ({ number, at, text: TEXT });

async function waitForGo() {
  say('ready');
  const { value } = await words.next();
  if (value !== 'go') process.exit(1);
}

async function work(tasks) {
  const seen = new Uint8Array(tasks);
  const lags = [];
  let executed = 0;
  let distinct = 0;
  const noop = async ({ data: { number, at } }) => {
    executed += 1;
    if (at > 0) lags.push(nowUs() - at);
    if (seen[number]++ === 0 && ++distinct === tasks) say('done');
  };
  const worker = new Worker('tasks', noop, { connection, concurrency: 100, autorun: false });
  await worker.waitUntilReady();
  await waitForGo();
  worker.run();
  await words.next();
  process.stdout.write(`counted ${JSON.stringify({ executed, distinct, lags })}\n`, () =>
    process.exit(0),
  );
}

async function add(queue, tasks, batch) {
  await waitForGo();
  for (let first = 0; first < tasks; first += batch) {
    if (batch === 1) {
      await queue.add('noop', args(first), options);
      continue;
    }
    const many = [];
    for (let number = first; number < Math.min(first + batch, tasks); number += 1) {
      many.push({ name: 'noop', data: args(number), opts: options });
    }
    await queue.addBulk(many);
  }
}

// At high rates it only sleeps: who spins all the time takes a core from those whom it gives work to.
async function waitUntil(turn, spin) {
  const rest = turn - performance.now();
  if (spin ? rest > 2 : rest > 0) await new Promise((go) => setTimeout(go, spin ? rest - 2 : rest));
  while (spin && performance.now() < turn) await new Promise((go) => setImmediate(go));
}

async function pace(queue, tasks, rate, when) {
  await waitForGo();
  if (when === 'later') {
    const first = nowUs() + 3_000_000;
    for (let from = 0; from < tasks; from += 1000) {
      const many = [];
      for (let number = from; number < Math.min(from + 1000, tasks); number += 1) {
        const due = first + Math.floor((number * 1e6) / rate);
        const delay = Math.round((due - nowUs()) / 1000);
        many.push({ name: 'noop', data: args(number, due), opts: { ...options, delay } });
      }
      await queue.addBulk(many);
    }
    return;
  }
  const first = performance.now() + 100;
  const together = Math.ceil(rate / 1000);
  for (let number = 0; number < tasks; number += together) {
    await waitUntil(first + (number * 1000) / rate, together === 1);
    const at = nowUs();
    if (together === 1) {
      await queue.add('noop', args(number, at), options);
      continue;
    }
    const many = [];
    for (let one = number; one < Math.min(number + together, tasks); one += 1) {
      many.push({ name: 'noop', data: args(one, at), opts: options });
    }
    await queue.addBulk(many);
  }
}

if (mode === 'work') {
  await work(Number(rest[0]));
} else {
  const queue = new Queue('tasks', { connection });
  await queue.waitUntilReady();
  const [tasks, other, when] = [Number(rest[0]), Number(rest[1]), rest[2]];
  await (mode === 'add' ? add(queue, tasks, other) : pace(queue, tasks, other, when));
  say('done');
  process.exit(0);
}
