// SPDX-License-Identifier: Apache-2.0
//
// Runs the importer of the published speedscope package on files, without a browser.
// usage: node speedscope_import.js PACKAGE_DIR FILE...
//
// The package is one bundled script for a browser. It is run in a context where everything that belongs to a page
// answers with itself, and one line is put into it that hands its importers out. For each file: its name, as what
// speedscope took it, total weight, unit, number of samples, and the inlined frames.
'use strict';

const fs = require('fs');
const path = require('path');
const vm = require('vm');

function bundle(packageDir) {
	const dir = path.join(packageDir, 'dist', 'release');
	const name = fs.readdirSync(dir).find((n) => /^speedscope-.*\.js$/.test(n));
	const text = fs.readFileSync(path.join(dir, name), 'utf8');
	const use = text.match(/async function \w+\(\w+,\w+\)\{return\(await (\w+)\)\.importProfileGroupFromText/);
	if (!use)
		throw new Error('this version of speedscope hides its importers elsewhere');
	return text.slice(0, use.index) + `globalThis.importers=${use[1]};` + text.slice(use.index);
}

const page = new Proxy(function () {}, {
	get: (_, key) => {
		if (key === Symbol.toPrimitive)
			return () => 0;
		if (key === Symbol.iterator)
			return function* () {};
		return key === 'then' ? undefined : page;
	},
	apply: () => page,
	construct: () => page,
	set: () => true,
	has: () => true,
});

let said = [];
const log = (...words) => said.push(words.join(' '));
const context = {
	console: {log, warn: log, error: log, info: log, debug: log},
	TextDecoder, TextEncoder, setTimeout, clearTimeout, performance, URL, atob, btoa, Uint8Array, ArrayBuffer,
	document: page, navigator: page, localStorage: page, matchMedia: () => page,
	location: {hash: '', protocol: 'file:'},
	requestAnimationFrame: () => 0,
	addEventListener: () => {},
	fetch: () => new Promise(() => {}),
};
context.window = context.self = context.globalThis = context;

const KINDS = {
	'Importing as protobuf encoded pprof file': 'pprof',
	'Importing as collapsed stack format': 'collapsed',
	'Importing as speedscope json file': 'speedscope',
};

function describe(profile) {
	const frames = [];
	let samples = 0;
	profile.forEachFrame((f) => frames.push(f.name));
	samples = profile.samples.length;
	const inlined = frames.filter((f) => f.endsWith('_[i]'));
	return {weight: profile.getTotalWeight(), unit: profile.getWeightUnit(), samples, inlined};
}

async function main() {
	const [packageDir, ...files] = process.argv.slice(2);
	vm.createContext(context);
	try {
		vm.runInContext(bundle(packageDir), context);
	} catch (error) {
		// The page's own code ends where a real page is needed; the importers stand before it.
		if (!context.importers)
			throw error;
	}
	const importers = await context.importers;
	for (const file of files) {
		const bytes = fs.readFileSync(file);
		said = [];
		const group = await importers.importProfilesFromArrayBuffer(path.basename(file),
			bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
		if (!group || group.profiles.length !== 1)
			throw new Error(`${file}: speedscope does not take it: ${said.join('; ')}`);
		if (said.length !== 1 || !KINDS[said[0]])
			throw new Error(`${file}: speedscope says: ${said.join('; ')}`);
		const {weight, unit, samples, inlined} = describe(group.profiles[0]);
		const kind = KINDS[said[0]];
		const shown = kind === 'speedscope' ? inlined : [];
		console.log([path.basename(file), kind, weight, unit, samples, ...shown].join(' '));
	}
}

main().catch((error) => {
	console.error(String(error.stack || error));
	process.exit(1);
});
