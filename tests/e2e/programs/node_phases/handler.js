// SPDX-License-Identifier: Apache-2.0
// A handler of four phases, each of which says how much CPU time its thread spent: by Node.js where it knows, else by the
// kernel. (The process's clock has the collector's threads in it, whose samples are in no phase.)
'use strict';

const fs = require('fs');

const order = { id: 1, lines: Array.from({ length: 150 }, (_, i) => ({ sku: 'sku-' + i, n: i % 7, price: i * 1.5 })) };

// The kernel brings the process's clock up to date when it is read, the thread's only at ticks: so read that first.
function spentSoFar() {
  process.cpuUsage();
  if (!process.threadCpuUsage)
    return +fs.readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ')[0] / 1000;
  const { user, system } = process.threadCpuUsage();
  return user + system;
}
const text = JSON.stringify(order).repeat(4);

class Prices {
  #factor = 3;
  total(lines) { let sum = 0; for (const line of lines) sum += line.n * line.price * this.#factor; return sum; }
}
const prices = new Prices();

function parseOrder(rounds) {
  let n = 0;
  for (let i = 0; i < rounds; i++) n += JSON.parse(JSON.stringify(order), (k, v) => v).lines.length;
  return n;
}

function priceOrder(rounds) {
  let sum = 0;
  for (let i = 0; i < rounds; i++) sum += prices.total(order.lines);
  return sum;
}

function rankLines(rounds) {
  let n = 0;
  for (let i = 0; i < rounds; i++) n += order.lines.slice().sort((a, b) => (b.price % 17) - (a.price % 17)).length;
  return n;
}

async function renderPage(rounds) {
  let n = 0;
  for (let i = 0; i < rounds; i++) n += text.replace(/sku-(\d+)/g, (_, d) => '<' + d + '>').length;
  await null;
  for (let i = 0; i < rounds; i++) n += text.split('').reverse().join('').length;
  return n;
}

const phases = [[parseOrder, 12], [priceOrder, 9000], [rankLines, 60], [renderPage, 6]];

exports.handler = async () => {
  const spent = {};
  for (const [phase, rounds] of phases) {
    const before = spentSoFar();
    await phase(rounds);
    spent[phase.name] = spentSoFar() - before;
  }
  return spent;
};
