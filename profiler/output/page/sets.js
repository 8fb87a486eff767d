// SPDX-License-Identifier: Apache-2.0
// Which rows are listed, which are in the sets A and B, and what the graph is of.

const S = {
	view: "flame", scope: "all", row: null, a: new Set(), b: new Set(), preset: "", zoom: 0, q: "", value: 1,
	basis: "mean", mark: "", at: "", time: "", sort: "duration_ns", down: true, filter: "", fn: "", outcome: "", cold: "", kinds: null,
};

const isOwnText = (v) => typeof v === "string" && v !== "";
const coldText = (row) => row.cold === true ? "cold" : row.cold === false ? "warm" : "unknown";
const outcomeText = (row) => isOwnText(row.outcome) ? row.outcome : "unknown";

function kindsPresent() {
	const order = ["invocation", "init", "process", "idle", "shared"];
	const found = [...new Set(D.rows.map((row) => row.kind))];
	const rank = (kind) => order.includes(kind) ? order.indexOf(kind) : order.length;
	return found.sort((a, b) => rank(a) - rank(b));
}

// Idle, shared and process rows span the whole recording: beside invocations they would always stand first.
function kindsAtFirst() {
	const kinds = kindsPresent();
	return new Set(kinds.includes("invocation") ? kinds.filter((k) => k === "invocation" || k === "init") : kinds);
}

function matchesFilter(row, words) {
	if (!S.kinds.has(row.kind) || (S.fn && row.function !== S.fn) ||
	    (S.outcome && outcomeText(row) !== S.outcome) || (S.cold && coldText(row) !== S.cold))
		return false;
	if (words.length === 0)
		return true;
	row.text ??= [row.function, row.id, row.kind, row.trace_id, row.version, row.runtime, row.outcome, row.pid]
		.filter((v) => v !== undefined).join("\n").toLowerCase();
	return words.every((word) => row.text.includes(word));
}

const sortKeys = {
	cold: (row) => ["unknown", "warm", "cold"].indexOf(coldText(row)) || undefined,
	start: (row) => row.start,
};

function listedRows() {
	const words = S.filter.toLowerCase().split(/\s+/).filter(Boolean);
	const key = sortKeys[S.sort] || ((row) => row[S.sort]);
	const sign = S.down ? -1 : 1;
	const found = [];
	for (const row of D.rows) {
		if (matchesFilter(row, words))
			found.push([key(row), row]);
	}
	// What is not known stands last in either direction.
	found.sort(([x, a], [y, b]) => {
		if (x === undefined || y === undefined)
			return (x === undefined) - (y === undefined) || a.n - b.n;
		return (x < y ? -1 : x > y ? 1 : 0) * sign || a.n - b.n;
	});
	return found.map(([, row]) => row);
}

// Rows that presets compare: the listed ones that are invocations or, where there are none, all listed.
function comparable(listed) {
	const invocations = listed.filter((row) => row.kind === "invocation");
	return invocations.length > 0 ? invocations : listed;
}

function slowest(rows, share) {
	const sorted = rows.slice().sort((a, b) => b.duration_ns - a.duration_ns || a.n - b.n);
	const n = Math.min(Math.max(1, Math.round(rows.length * share)), rows.length - 1);
	return [sorted.slice(0, n), sorted.slice(n)];
}

const splitBy = (rows, inA) => [rows.filter(inA), rows.filter((row) => !inA(row))];

const PRESETS = {
	slow5: {a: "slowest 5 %", b: "the rest", split: (rows) => slowest(rows, 0.05)},
	slow20: {a: "slowest 20 %", b: "the rest", split: (rows) => slowest(rows, 0.2)},
	errors: {a: "not ok", b: "ok", split: (rows) =>
		splitBy(rows.filter((r) => isOwnText(r.outcome)), (row) => row.outcome !== "ok")},
	cold: {a: "cold", b: "warm", split: (rows) =>
		splitBy(rows.filter((r) => coldText(r) !== "unknown"), (row) => row.cold === true)},
	late: {a: "second half", b: "first half", split: (rows) => {
		const sorted = rows.slice().sort((a, b) => a.start_ns - b.start_ns);
		const half = Math.ceil(sorted.length / 2);
		return [sorted.slice(half), sorted.slice(0, half)];
	}},
};

function applyPreset(name) {
	const preset = Object.hasOwn(PRESETS, name) ? PRESETS[name] : null;
	S.preset = preset ? name : "";
	if (!preset)
		return;
	const [a, b] = preset.split(comparable(listedRows()));
	S.a = new Set(a);
	S.b = new Set(b);
	S.scope = "sets";
}

// What stands over the graph, and the sums for it: {title, subtitle, a, b}; b only for a comparison.
async function graphOfScope(listed) {
	if (S.scope === "row" && S.row) {
		const title = isOwnText(S.row.function) ? clean(S.row.function) : "?";
		const story = await storyOf(S.row);
		const marked = S.mark !== "" && story && marksOf(story).has(S.mark);
		return {title, subtitle: clean(S.row.id) + (marked ? ` in ${S.mark}` : ""), story, b: null,
			a: marked ? await sumOfMark(S.row, story, S.mark) : await sumRows([S.row])};
	}
	if (S.scope === "listed")
		return {title: "Listed", subtitle: many(listed.length, "row"), a: await sumRows(listed), b: null};
	if (S.scope === "sets") {
		const names = S.preset ? PRESETS[S.preset] : {a: "A", b: "B"};
		if (S.a.size === 0 || S.b.size === 0) {
			const rows = S.a.size ? S.a : S.b;
			return {title: S.a.size ? names.a : names.b, subtitle: many(rows.size, "row"), a: await sumRows([...rows]), b: null};
		}
		return {
			title: `${names.a} compared with ${names.b}`,
			subtitle: `${many(S.a.size, "row")}, ${many(S.b.size, "row")}`,
			a: await sumRows([...S.a]), b: await sumRows([...S.b]), names,
		};
	}
	return {title: "All together", subtitle: many(D.head.rows, "row"), a: sumEverything(), b: null};
}
