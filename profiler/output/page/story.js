// SPDX-License-Identifier: Apache-2.0
// What happened in one row: its threads, when its samples came, its events (timeline.c wrote them).

function readStory(reader) {
	const story = {threads: new Map(), samples: [], kinds: [], events: [], unreadable: 0};
	const text = () => D.texts[reader.number()] || "";
	for (let n = reader.number(); n > 0; n--) {
		const tid = reader.number();
		story.threads.set(tid, text());
	}
	for (let n = reader.number(), t = 0, node = 0; n > 0; n--) {
		t += reader.signed();
		const tid = reader.number();
		node += reader.signed();
		story.samples.push({t, tid, node});
	}
	for (let n = reader.number(); n > 0; n--)
		story.kinds.push({what: text(), count: reader.number(), total: reader.number(), longest: reader.number()});
	for (let n = reader.number(), t = 0; n > 0; n--) {
		t += reader.signed();
		story.events.push({t, duration: reader.number(), tid: reader.number(), what: text(), name: text(), cause: text(), how: text()});
	}
	story.unreadable = reader.number();
	return story;
}

// null: the row has nothing to tell, or the page had no room for it.
async function storyOf(row) {
	if (!(row.storyChunk >= 0 && row.storyChunk < D.stories.length))
		return null;
	return readStory(new Reader(await chunkBytes(D.stories, row.storyChunk), row.storyOffset));
}

const isMark = (event) => event.what === "mark" && event.name !== "";

function marksOf(story) {
	const found = new Map();
	for (const event of story.events) {
		if (isMark(event))
			found.set(event.name, (found.get(event.name) || 0) + 1);
	}
	return found;
}

// Samples that came while a mark of this name was open.
function samplesInMark(story, name) {
	const spans = story.events.filter((event) => isMark(event) && event.name === name);
	return story.samples.filter((sample) => spans.some((span) => span.t <= sample.t && sample.t < span.t + Math.max(1, span.duration)));
}

// The graph of these samples alone: each has the mean value of its stack in this row.
async function sumOfMark(row, story, name) {
	const graph = await graphOf(row), self = emptySelf();
	if (!graph)
		return {self, missing: 1, rows: 1};
	const at = new Map();
	graph.nodes.forEach((node, i) => at.set(node, (at.get(node) || []).concat(i)));
	for (const sample of samplesInMark(story, name)) {
		const places = at.get(sample.node) || [];
		const count = places.reduce((sum, i) => sum + graph.values[0][i], 0) || 1;
		for (let t = 0; t < graph.values.length; t++)
			self[t][sample.node] += places.reduce((sum, i) => sum + graph.values[t][i], 0) / count;
	}
	return {self, missing: 0, rows: 1};
}

function eventTable(story) {
	if (story.kinds.length === 0 && story.unreadable === 0)
		return null;
	const line = (kind) => el("tr", {}, el("th", {scope: "row"}, kind.what.replaceAll("_", " ") || "more"),
		el("td", {}, count(kind.count)), el("td", {}, kind.total > 0 ? duration(kind.total) : "\u2013"), el("td", {}, kind.longest > 0 ? duration(kind.longest) : "\u2013"));
	const head = el("tr", {}, el("th", {}), ...["count", "total", "longest"].map((text) => el("th", {scope: "col"}, text)));
	const left = story.kinds.reduce((sum, kind) => sum + kind.count, 0) - story.events.length;
	return el("div", {className: "events"}, el("h3", {}, "Events"), el("table", {}, el("thead", {}, head), el("tbody", {}, ...story.kinds.map(line))),
		left > 0 ? el("p", {className: "quiet"}, `The timeline has the ${count(story.events.length)} longest of them.`) : null,
		story.unreadable ? el("p", {className: "quiet"}, `${many(story.unreadable, "line")} of their file could not be read.`) : null);
}

const LOADS = ["import", "class_load", "class_init", "module_load"];

// What a start did: its phases, and what was dearest to load.
function startTables(story) {
	const phases = story.events.filter((event) => event.what === "phase");
	const loads = story.events.filter((event) => LOADS.includes(event.what) && event.duration > 0)
		.sort((a, b) => b.duration - a.duration).slice(0, 10);
	const table = (title, hint, events) => el("div", {className: "events"}, el("h3", {title: hint}, title), el("table", {}, el("tbody", {},
		...events.map((event) => el("tr", {}, el("th", {scope: "row", title: event.name}, event.name || "?"), el("td", {}, duration(event.duration)))))));
	return [phases.length ? table("Phases of the start", "", phases) : null,
		loads.length ? table("Dearest to load", "each with what it loaded in turn: these times do not add up", loads) : null].filter(Boolean);
}
