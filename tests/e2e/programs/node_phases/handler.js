// SPDX-License-Identifier: Apache-2.0
// A handler of four phases, each of which says how much CPU time it spent: by the thread's clock where Node.js has it,
// else by the process's.
'use strict';

const order = { id: 1, lines: Array.from({ length: 150 }, (_, i) => ({ sku: 'sku-' + i, n: i % 7, price: i * 1.5 })) };

// The kernel brings the process's clock up to date when it is read, the thread's only at ticks: so read that first.
function spentSoFar() {
  const all = process.cpuUsage();
  const { user, system } = process.threadCpuUsage ? process.threadCpuUsage() : all;
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
