// SPDX-License-Identifier: Apache-2.0
// A function to try fnprof on, for AWS Lambda's Node.js runtime (aws-lambda-ric): handler.handler.
//
// The same function as examples/python/handler.py: what a call does is chosen by `kind` in its payload, and every
// answer says how much CPU time it spent and when it ran (CLOCK_MONOTONIC).
'use strict';

const crypto = require('crypto');
const zlib = require('zlib');

function loadCatalogue(entries) {
  const catalogue = new Map();
  for (let n = 0; n < entries; n++) {
    catalogue.set(crypto.createHash('md5').update(String(n)).digest('hex').slice(0, 8), (n % 97) + 3);
  }
  return catalogue;
}

const catalogue = loadCatalogue(4000);
const page = Buffer.from(JSON.stringify([...catalogue.keys()].sort()));
const keys = [...catalogue.keys()].slice(0, 600);

function cpuNs() {
  const used = process.cpuUsage();
  return (used.user + used.system) * 1000;
}

function compressReceipt(data) {
  return zlib.deflateSync(data, { level: 6 });
}

function signReceipt(data) {
  return crypto.pbkdf2Sync(data.subarray(0, 64), 'salt', 500, 32, 'sha256');
}

function rankItems() {
  return keys.slice().sort((a, b) => catalogue.get(a) - catalogue.get(b) || (a < b ? -1 : 1));
}

function priceOrder(milliseconds) {
  const end = cpuNs() + milliseconds * 1e6;
  while (cpuNs() < end) {
    rankItems();
    compressReceipt(page.subarray(0, 4096));
    signReceipt(page);
  }
}

const kinds = {
  fast() {
    return { price: [...catalogue.values()].reduce((sum, price) => sum + price, 0) };
  },
  slow(event) {
    priceOrder(event.ms ?? 60);
    return {};
  },
  native(event) {
    const end = cpuNs() + (event.ms ?? 60) * 1e6;
    while (cpuNs() < end) crypto.pbkdf2Sync('order', 'salt', 2000, 32, 'sha256');
    return {};
  },
  async sleep(event) {
    await new Promise((done) => setTimeout(done, event.ms ?? 60));
    return {};
  },
  error() {
    throw new Error('the order has no items');
  },
  big(event) {
    return { receipt: 'x'.repeat(event.bytes ?? 300000) };
  },
  // Node's own threads: four derivations on the pool of libuv, waited for.
  async threads(event) {
    const rounds = 200 * (event.ms ?? 10);
    const one = () => new Promise((done) => crypto.pbkdf2('order', 'salt', rounds, 32, 'sha256', done));
    await Promise.all([one(), one(), one(), one()]);
    return {};
  },
  // Answers at once and works afterwards.
  after(event) {
    setTimeout(() => priceOrder(event.ms ?? 60), 30);
    return {};
  },
};

exports.handler = async (event, context) => {
  context.callbackWaitsForEmptyEventLoop = false;
  const begin = process.hrtime.bigint();
  const cpu = cpuNs();
  const answer = await kinds[event.kind ?? 'fast'](event);
  answer.request_id = context.awsRequestId;
  answer.cpu_ns = cpuNs() - cpu;
  answer.begin_ns = Number(begin);
  answer.end_ns = Number(process.hrtime.bigint());
  return answer;
};
