// SPDX-License-Identifier: Apache-2.0
// The timeline as a model: lanes with items, each with a place in time and a row in its lane; the view draws them.

const SPANS = { // label, colour, letters on it; other kinds of events have the last one
	phase: ["phase", "#cfd6e4", "#1b1e25"], mark: ["mark", "#d9660b", "#ffffff"], gc: ["GC", "#a970c5", "#1b1e25"], jit: ["JIT", "#2f8f6b", "#ffffff"],
	import: ["import", "#b8860b", "#ffffff"], class_load: ["class load", "#b8860b", "#ffffff"], class_init: ["class init", "#b8860b", "#ffffff"], module_load: ["module load", "#b8860b", "#ffffff"],
};
const spanLook = (what) => Object.hasOwn(SPANS, what) ? SPANS[what] : [what.replaceAll("_", " "), "#6b7280", "#ffffff"];
const STATES = ["on_cpu", "off_cpu"];
const DEPTH_MAX = 5; // rows of nested spans in a lane; deeper ones stand in the last

// Gives each span the first row in which it fits below those that hold it.
function nest(events) {
	const ends = [];
	let rows = 0;
	for (const event of events) {
		let row = ends.findIndex((end) => end <= event.t);
		if (row < 0)
			row = Math.min(ends.length, DEPTH_MAX - 1);
		ends[row] = Math.max(ends[row] || 0, event.t + Math.max(event.duration, 1));
		event.row = row;
		rows = Math.max(rows, row + 1);
	}
	return rows;
}

/*
 * Lanes from above: phases and marks, which are the row's own story, then each thread: its states where they are
 * known, its samples, what the runtime told. Those that work most stand first.
 */
function lanesOf(story) {
	const own = story.events.filter((event) => event.what === "phase" || event.what === "mark");
	const tids = new Map();
	const thread = (tid) => {
		if (!tids.has(tid))
			tids.set(tid, {tid, name: story.threads.get(tid) || "", states: [], samples: [], spans: []});
		return tids.get(tid);
	};
	story.samples.forEach((sample, i) => thread(sample.tid).samples.push({...sample, key: "s" + i}));
	story.events.forEach((event, i) => {
		event.key = "e" + i;
		if (STATES.includes(event.what))
			thread(event.tid).states.push(event);
		else if (!own.includes(event))
			thread(event.tid).spans.push(event);
	});
	const lanes = [...tids.values()].sort((a, b) => b.samples.length - a.samples.length || b.spans.length - a.spans.length || a.tid - b.tid);
	if (own.length)
		lanes.unshift({tid: 0, name: own.some((event) => event.what === "mark") ? "marks" : "phases", states: [], samples: [], spans: own});
	for (const lane of lanes)
		lane.rows = nest(lane.spans);
	return lanes;
}

// The range that holds everything: the row's own duration, and what began before it or came late.
function extentOf(row, story) {
	let from = 0, to = Math.max(1, row.duration_ns || 0);
	for (const sample of story.samples) {
		from = Math.min(from, sample.t);
		to = Math.max(to, sample.t);
	}
	for (const event of story.events) {
		from = Math.min(from, event.t);
		to = Math.max(to, event.t + event.duration);
	}
	// What lies far outside would leave the row itself a point.
	const room = Math.max(1, row.duration_ns || to);
	return [Math.max(from, -room / 4), Math.min(to, room * 1.25)];
}

function describeItem(item) {
	if (item.node !== undefined)
		return `sample at ${duration(item.t)}, ${frameName(item.node)}`;
	const look = item.what === "on_cpu" ? "on CPU" : item.what === "off_cpu" ? "off CPU" + (item.name ? ": " + ledgerLook(item.name)[0] : "") : spanLook(item.what)[0];
	return [look, item.what === "off_cpu" ? item.cause : item.name, item.duration > 0 ? duration(item.duration) : "", item.t > 0 ? `at ${duration(item.t)}` : "at the begin"].filter(Boolean).join(", ");
}

// Round steps of a ruler: 1, 2 or 5 times a power of ten, some 8 of them, fewer where their words would meet.
function rulerSteps(from, to, width) {
	const raw = (to - from) / Math.max(1, Math.min(8, width / 95)), power = 10 ** Math.floor(Math.log10(raw)), lead = raw / power;
	const step = power * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
	const steps = [];
	for (let t = Math.ceil(from / step) * step; t <= to; t += step)
		steps.push(t);
	return steps;
}
