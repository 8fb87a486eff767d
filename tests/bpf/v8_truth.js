// SPDX-License-Identifier: Apache-2.0
// Programs whose stacks are known by construction, for v8_test.py: v8_truth.js PROGRAM MS. Each spends its time below
// `main`, in a chain of calls that the test knows.
'use strict';
const { Worker, isMainThread, workerData } = require('worker_threads');

let sink = 0;
const ms = isMainThread ? +process.argv[3] : workerData.ms;
// It ends when so much CPU time is spent, which takes longer on a busy machine; but not for ever.
let end, late, spentBefore;

function spent() {
	const { user, system } = process.cpuUsage();
	return (user + system) / 1000;
}

function begin() {
	spentBefore = spent();
	end = Date.now() + ms;
	late = Date.now() + 15 * ms;
}
begin();

function more() {
	if (Date.now() < end)
		return true;
	end = Date.now() + 20;
	return end < late && spent() - spentBefore < ms;
}

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

// ---- awaited in different ways
async function inner(n) { await null; return leaf(n); }
async function middle(n) { return await inner(n) + 1; }
async function other(n) { await null; return leaf(n); }
async function all(n) { const [x, y] = await Promise.all([inner(n), other(n)]); return x + y; }
async function thenner(n) { await null; return leaf(n); }
async function viaThen(n) { return await thenner(n).then((x) => x + 1); }
async function returned(n) { for (let i = 0; i < 4; i++) await null; return leaf(n); }
async function passes(n) { return returned(n); }
async function viaReturn(n) { return await passes(n); }
async function* generated(n) { for (let i = 0; i < 2; i++) { await null; yield leaf(n); } }
async function viaGenerator(n) { let s = 0; for await (const x of generated(n)) s += x; return s; }
async function raced(n) { await null; return leaf(n); }
async function viaRace(n) { return await Promise.race([raced(n), new Promise(() => {})]); }
async function failing(n) { await null; leaf(n); throw new Error('x'); }
async function viaFailure(n) { try { await failing(n); } catch { return leaf(n); } }
async function outer(n) {
	return await middle(n) + await all(n) + await viaThen(n) + await viaReturn(n) + await viaGenerator(n) +
		await viaRace(n) + await viaFailure(n);
}
async function lonely(n) { await null; return leaf(n); }

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

// ---- lines, by marks that the test reads
function lineLeaf(n) {
	let s = 0; // in lineLeaf
	for (let i = 0; i < n; i++) // in lineLeaf
		s = (s * 31 + i) | 0; // in lineLeaf
	return s; // in lineLeaf
}
function lineMiddle(n) {
	const half = n >> 1;
	let s = half;
	s += lineLeaf(half); // lineMiddle calls lineLeaf
	s += n;
	return s;
}

// ---- called back by an addon
function fromNative(n) { return leaf(n) + 1; }
const calls = isMainThread && process.argv[4] ? require(process.argv[4]).call : undefined;

// ---- WebAssembly: outer calls inner calls a nameless function, which loops; callsBack calls an import
function wasmModule() {
	const u = (n) => { const b = []; do { const x = n & 127; n >>>= 7; b.push(n ? x | 128 : x); } while (n); return b; };
	const vec = (items) => [...u(items.length), ...items.flat()];
	const text = (s) => { const b = [...Buffer.from(s)]; return [...u(b.length), ...b]; };
	const section = (id, body) => [id, ...u(body.length), ...body];
	const body = (locals, code) => { const b = [...locals, ...code, 0x0b]; return [...u(b.length), ...b]; };
	const loop = [0x03, 0x40, // loop
		0x20, 1, 0x41, 31, 0x6c, 0x20, 0, 0x6a, 0x21, 1, // s = s * 31 + n
		0x20, 0, 0x41, 1, 0x6b, 0x22, 0, 0x0d, 0, 0x0b, // if (n = n - 1) again
		0x20, 1];
	const call = (i) => [0x20, 0, 0x10, i, 0x41, 1, 0x6a];
	return new Uint8Array([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
		...section(1, vec([[0x60, 1, 0x7f, 1, 0x7f]])),
		...section(2, vec([[...text('env'), ...text('back'), 0, 0]])),
		...section(3, vec([[0], [0], [0], [0]])),
		...section(7, vec([[...text('run'), 0, 3], [...text('runBack'), 0, 4]])),
		...section(10, vec([body([1, 1, 0x7f], loop), body([0], call(1)), body([0], call(2)), body([0], call(0))])),
		...section(0, [...text('name'), 1, ...(() => { const m = vec([[2, ...text('wasmInner')], [3, ...text('größe::outer')], [4, ...text('callsBack')]]); return [...u(m.length), ...m]; })()])]);
}
function back(n) { return leaf(300) * 0 + n; }

const wasmInstance = process.argv[2] === 'wasm' && new WebAssembly.Instance(new WebAssembly.Module(wasmModule()), { env: { back } });

// ---- optimized code that is thrown away while it runs: each victim is a new one
function makeVictim(n) { return eval(`(function victim(a) { let t = 0; for (let i = 0; i < 30; i++) t += a.x; return t + ${n}; })`); }
// The same where what is thrown away was inlined.
function makeOuter(n) { return eval(`(function victim(a) { function within(a) { return a.x; } let t = 0; for (let i = 0; i < 30; i++) t += within(a); return t + ${n}; })`); }

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
	awaits: async function main() { while (more()) { sink += await outer(4000); lonely(4000); await null; } },
	sort: function main() { while (more()) Array.from({ length: 100 }, (x, i) => (i * 7919) % 101).sort(compare); },
	callbacks: function main() {
		while (more()) { [1, 2, 3, 4].map(mapper); JSON.parse('[1,2,3,{"a":1}]', reviver); 'abcabc'.replace(/b/g, replacer); }
	},
	indirect: function main() { while (more()) { sink += target.x + isBound(300) + rest(...[1, 2, 3]) + leaf.call(null, 300) + leaf.apply(null, [300]); } },
	exceptions: function main() { while (more()) { try { thrower(5); } catch (e) { sink++; } } },
	deopt: function main() { const values = [1, 1.5, 'x', 2n]; let i = 0; while (more()) { const v = values[(i++ >> 6) & 3]; try { poly(v); } catch (e) { leaf(10); } } },
	discarded: function main() {
		for (let n = 0; more(); n++) {
			const victim = makeVictim(n);
			for (let i = 0; i < 3000; i++)
				sink += victim({ x: i });
			for (let i = 0; i < 10; i++)
				sink += victim({ y: i, x: 1.5 });
		}
	},
	discardedInlined: function main() {
		for (let n = 0; more(); n++) {
			const victim = makeOuter(n);
			for (let i = 0; i < 3000; i++)
				sink += victim({ x: i });
			for (let i = 0; i < 10; i++)
				sink += victim({ y: i, x: 1.5 });
		}
	},
	unicode: function main() { while (more()) 𝒻oo(1000); },
	evals: function main() { while (more()) sink += evalled(1000) + made(leaf, 1000); },
	regexp: function main() { const s = 'a'.repeat(3000); while (more()) sink += /(?:aa|ab)*c/.test(s) + 0; },
	garbage: function main() { let keep = []; while (more()) { for (let i = 0; i < 1000; i++) keep.push({ i, s: 'x' + i }); if (keep.length > 100000) keep = []; } },
	wasm: function main() {
		const { exports } = wasmInstance;
		for (let i = 0; more(); i++)
			sink += exports.run(3000) + (i % 16 ? 0 : exports.runBack(3));
	},
	napi: function main() { while (more()) sink += calls(fromNative, 1000); },
	lines: function main() {
		while (more())
			sink += lineMiddle(4000); // main calls lineMiddle
	},
	workers: function main() { while (more()) a(2000); },
	storm: function main() { const until = Date.now() + workerData.ms; while (Date.now() < until) a(2000); },
};

// Isolates that come and go, some of them in the middle of their work.
function storm(living) {
	if (!more())
		return;
	const worker = new Worker(__filename, { workerData: { program: 'storm', ms: 60 } });
	worker.on('exit', () => storm(living));
	if (living % 2)
		worker.on('online', () => setTimeout(() => worker.terminate(), 30));
}

function startProgram(name) {
	begin();
	if (name === 'workers')
		for (let i = 0; i < 2; i++)
			new Worker(__filename, { workerData: { program: 'workers', ms } });
	if (name === 'storm')
		for (let i = 0; i < 4; i++)
			storm(i);
	else
		programs[name]();
}

// The work begins when the test says so: when the recording is live.
if (isMainThread)
	process.stdin.once('data', () => { process.stdin.destroy(); startProgram(process.argv[2]); });
else
	programs[workerData.program]();
