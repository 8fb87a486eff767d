// SPDX-License-Identifier: Apache-2.0
// The page's tables, out of the blocks that blocks.c wrote: base64 of deflated bytes. Numbers are LEB128.

const NO_SAMPLES = -1, UNREADABLE = -2; // chunk numbers that are none (page.c); LEFT_OUT is -3

const D = {
	head: null,
	types: [],   // {name, type, unit}
	names: [],   // strings
	frame: null, // typed arrays by frame number
	nodes: null, // {n, parent, frame, depth, first, child}
	groups: [],  // {kind, function, rows: how many, members: the listed ones, graph}
	rows: [],    // {n, chunk, offset, group, storyChunk, storyOffset, ...the line of the index}
	chunks: [],  // base64 texts of single graphs
	texts: [],   // strings of timelines
	stories: [], // base64 texts of timelines
};

async function inflate(base64) {
	const text = atob(base64);
	const deflated = new Uint8Array(text.length);
	for (let i = 0; i < text.length; i++)
		deflated[i] = text.charCodeAt(i);
	const stream = new Blob([deflated]).stream().pipeThrough(new DecompressionStream("deflate"));
	return new Uint8Array(await new Response(stream).arrayBuffer());
}

function takeBlocks(name) {
	const texts = [];
	for (const block of document.querySelectorAll(`script[data-block="${name}"]`)) {
		texts.push(block.textContent);
		block.remove();
	}
	return texts;
}

// All blocks of a table as one array of bytes.
async function takeTable(name) {
	const parts = [];
	let length = 0;
	for (const text of takeBlocks(name)) {
		parts.push(await inflate(text));
		length += parts[parts.length - 1].length;
	}
	const whole = new Uint8Array(length);
	let at = 0;
	for (const part of parts) {
		whole.set(part, at);
		at += part.length;
	}
	return whole;
}

class Reader {
	constructor(data, at = 0) {
		this.data = data;
		this.at = at;
	}
	// Past 32 bits by multiplication: times are bigger. Exact to 2^53, which is 104 days of nanoseconds.
	number() {
		let value = 0, scale = 1;
		for (;;) {
			const byte = this.data[this.at++];
			if (byte === undefined)
				throw new Error("a table ends early");
			value += (byte & 127) * scale;
			if (byte < 128)
				return value;
			scale *= 128;
		}
	}
	signed() {
		const n = this.number();
		return n % 2 ? -(n + 1) / 2 : n / 2;
	}
}

// A graph: values by node, one array a type. The same bytes for a row and for a group.
function readGraph(reader) {
	const nTypes = reader.number(), n = reader.number();
	const graph = {nodes: new Int32Array(n), values: []};
	for (let t = 0; t < nTypes; t++)
		graph.values.push(new Float64Array(n));
	for (let i = 0, node = 0; i < n; i++) {
		node += reader.signed();
		graph.nodes[i] = node;
		for (let t = 0; t < nTypes; t++)
			graph.values[t][i] = reader.number();
	}
	return graph;
}

function readStrings(data) {
	const decoder = new TextDecoder(), names = [];
	for (const r = new Reader(data); r.at < data.length;) {
		const length = r.number();
		names.push(clean(decoder.decode(data.subarray(r.at, r.at + length))));
		r.at += length;
	}
	return names;
}

function readFrames(data) {
	const columns = {name: [], file: [], object: [], start: [], from: [], to: [], kind: [], tier: [], inlined: []};
	for (const r = new Reader(data); r.at < data.length;) {
		columns.name.push(r.number());
		columns.file.push(r.number());
		columns.object.push(r.number());
		columns.start.push(r.number());
		columns.from.push(r.number());
		columns.to.push(columns.from[columns.from.length - 1] + r.number());
		const bits = data[r.at++];
		columns.kind.push(bits & 7);
		columns.tier.push(bits >> 3 & 7);
		columns.inlined.push(bits >> 6 & 1);
	}
	for (const key of Object.keys(columns))
		columns[key] = Int32Array.from(columns[key]);
	return columns;
}

// Parents come before their children, so sums can run backwards over the numbers.
function readNodes(data) {
	const parent = [0], frame = [0];
	for (const r = new Reader(data); r.at < data.length;) {
		parent.push(parent.length - r.number());
		frame.push(r.number());
	}
	const n = parent.length;
	const nodes = {n, parent: Int32Array.from(parent), frame: Int32Array.from(frame)};
	nodes.depth = new Int32Array(n);
	nodes.first = new Int32Array(n + 1); // children of i: child[first[i]] to child[first[i + 1] - 1]
	nodes.child = new Int32Array(n);
	for (let i = 1; i < n; i++) {
		nodes.depth[i] = nodes.depth[parent[i]] + 1;
		nodes.first[parent[i] + 1]++;
	}
	for (let i = 0; i < n; i++)
		nodes.first[i + 1] += nodes.first[i];
	const fill = nodes.first.slice();
	for (let i = 1; i < n; i++)
		nodes.child[fill[parent[i]]++] = i;
	return nodes;
}

function readRows(data) {
	const rows = [];
	for (const line of new TextDecoder().decode(data).split("\n")) {
		if (!line)
			continue;
		const [chunk, offset, group, storyChunk, storyOffset, row] = JSON.parse(line);
		rows.push(Object.assign(Object.create(null), row, {n: rows.length, chunk, offset, group, storyChunk, storyOffset}));
	}
	return rows;
}

async function load() {
	D.head = JSON.parse(new TextDecoder().decode(await takeTable("head")));
	D.types = D.head.value_types.map((name) => {
		const slash = name.lastIndexOf("/");
		return {name, type: clean(name.slice(0, slash)), unit: name.slice(slash + 1)};
	});
	D.names = readStrings(await takeTable("strings"));
	D.frame = readFrames(await takeTable("frames"));
	D.nodes = readNodes(await takeTable("nodes"));
	const sums = new Reader(await takeTable("sums"));
	D.groups = D.head.groups.map((group) => ({...group, members: [], graph: readGraph(sums)}));
	D.rows = readRows(await takeTable("rows"));
	D.chunks = takeBlocks("graphs");
	D.texts = readStrings(await takeTable("texts"));
	D.stories = takeBlocks("stories");
	for (const row of D.rows) {
		row.has = row.chunk === NO_SAMPLES || (row.chunk >= 0 && row.chunk < D.chunks.length);
		D.groups[row.group].members.push(row);
	}
}

// Chunks are unpacked when one of their rows is first wanted; a few dozen are kept.
const chunkCache = new Map();
const CHUNKS_KEPT = 96;

async function chunkBytes(chunks, n) {
	const key = (chunks === D.chunks ? "graph " : "story ") + n;
	let kept = chunkCache.get(key);
	if (kept === undefined) {
		kept = inflate(chunks[n]);
		if (chunkCache.size >= CHUNKS_KEPT)
			chunkCache.delete(chunkCache.keys().next().value);
		chunkCache.set(key, kept);
	}
	return kept;
}

// The graph of one row; null when the page has none.
async function graphOf(row) {
	if (!row.has)
		return null;
	if (row.chunk < 0)
		return {nodes: new Int32Array(0), values: D.types.map(() => new Float64Array(0))};
	return readGraph(new Reader(await chunkBytes(D.chunks, row.chunk), row.offset));
}
