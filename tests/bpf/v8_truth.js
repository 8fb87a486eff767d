// SPDX-License-Identifier: Apache-2.0
// Programs whose stacks are known by construction, for v8_test.py: v8_truth.js PROGRAM MS. Each spends its time below
// `main`, in a chain of calls that the test knows.
'use strict';
const { Worker, isMainThread, workerData } = require('worker_threads');

let sink = 0;
const ms = isMainThread ? +process.argv[3] : workerData.ms;
let end = Date.now() + ms;
const more = () => Date.now() < end;

function leaf(n) {
	let s = 0;
	for (let i = 0; i < n; i++)
		s = (s * 31 + i) | 0;
	return s;
}

// ---- plain calls
function c(n) { const r = leaf(n); sink += r; return r; }
function b(n) { const r = c(n); sink += r; return r; }
function a(n) { const r = b(n); sink += r; return r; }

// ---- recursion
function deep(n) { if (n === 0) return leaf(40000); const r = deep(n - 1) + 1; sink += r; return r; }

// ---- closures, and names that are only inferred
function makeAdder(k) { return function adder(n) { return leaf(n) + k; }; }
const adders = [makeAdder(1), makeAdder(2), makeAdder(3)];
const holder = {};
holder.inferred = function (n) { return leaf(n) + 1; };
const arrow = (n) => leaf(n) + 2;

// ---- classes
class Square { constructor(n) { this.n = leaf(n); } area(n) { return leaf(n) + 1; } get size() { return leaf(500); } }
class Circle extends Square { area(n) { return super.area(n) + 1; } #hidden(n) { return leaf(n); } peek(n) { return this.#hidden(n); } static make(n) { return new Circle(n); } }

// ---- generators
function* numbers(n) { for (let i = 0; i < n; i++) yield leaf(300); }

// ---- asynchronous
async function step(n) { await null; return leaf(n); }
async function twice(n) { return await step(n) + await step(n); }

// ---- called back by builtins
function compare(x, y) { return leaf(60) * 0 + x - y; }
function mapper(x) { return leaf(100) + x; }
function reviver(k, v) { return leaf(100) * 0 || v; }
function replacer(m) { leaf(100); return m; }
const target = new Proxy({}, { get: function trap(o, k) { return leaf(300); } });
function bound(n) { return leaf(n + this.k); }
const isBound = bound.bind({ k: 1 });
function rest(...args) { return leaf(args.length + 400); }

// ---- exceptions
function thrower(n) { if (n === 0) { leaf(300); throw new Error('x'); } return thrower(n - 1); }

// ---- types that change, so that code is thrown away
function poly(x) { let s = x; for (let i = 0; i < 200; i++) s = s + i; return s; }

// ---- other alphabets
function größe(n) { return leaf(n); }
function 日本語(n) { const r = größe(n); sink += r; return r; }
function 𝒻oo(n) { const r = 日本語(n); sink += r; return r; }

const evalled = eval('(function fromEval(n) { return leaf(n) + 1; })');
const made = new Function('leaf', 'n', 'return leaf(n) + 1;');

const programs = {
	chain: function main() { while (more()) a(2000); },
	recursion: function main() { while (more()) deep(200); },
	deeper: function main() { while (more()) deep(2000); },
	closures: function main() { while (more()) { for (const f of adders) sink += f(500); sink += holder.inferred(500) + arrow(500); } },
	classes: function main() {
		const shapes = [new Square(1), new Circle(1)];
		while (more()) { for (const s of shapes) sink += s.area(500) + s.size; sink += shapes[1].peek(500) + Circle.make(500).n; }
	},
	generators: function main() { while (more()) for (const x of numbers(100)) sink += x; },
	async: async function main() { while (more()) sink += await twice(2000); },
	sort: function main() { while (more()) Array.from({ length: 100 }, (x, i) => (i * 7919) % 101).sort(compare); },
	callbacks: function main() {
		while (more()) { [1, 2, 3, 4].map(mapper); JSON.parse('[1,2,3,{"a":1}]', reviver); 'abcabc'.replace(/b/g, replacer); }
	},
	indirect: function main() { while (more()) { sink += target.x + isBound(300) + rest(...[1, 2, 3]) + leaf.call(null, 300) + leaf.apply(null, [300]); } },
	exceptions: function main() { while (more()) { try { thrower(5); } catch (e) { sink++; } } },
	deopt: function main() { const values = [1, 1.5, 'x', 2n]; let i = 0; while (more()) { const v = values[(i++ >> 6) & 3]; try { poly(v); } catch (e) { leaf(10); } } },
	unicode: function main() { while (more()) 𝒻oo(1000); },
	evals: function main() { while (more()) sink += evalled(1000) + made(leaf, 1000); },
	regexp: function main() { const s = 'a'.repeat(3000); while (more()) sink += /(?:aa|ab)*c/.test(s) + 0; },
	garbage: function main() { let keep = []; while (more()) { for (let i = 0; i < 1000; i++) keep.push({ i, s: 'x' + i }); if (keep.length > 100000) keep = []; } },
	workers: function main() { while (more()) a(2000); },
};

function startProgram(name) {
	end = Date.now() + ms;
	if (name === 'workers')
		for (let i = 0; i < 2; i++)
			new Worker(__filename, { workerData: { ms } });
	programs[name]();
}

// The work begins when the test says so: when the recording is live.
if (isMainThread)
	process.stdin.once('data', () => { process.stdin.destroy(); startProgram(process.argv[2]); });
else
	programs.workers();
