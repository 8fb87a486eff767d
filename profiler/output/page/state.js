// SPDX-License-Identifier: Apache-2.0
// What is shown, as the URL's fragment: a link to the page shows the same again.

// Rows of a set as ranges of their numbers: "0-5.9.c".
function packRows(set) {
	const numbers = [...set].map((row) => row.n).sort((a, b) => a - b);
	const parts = [];
	for (let i = 0; i < numbers.length;) {
		let end = i;
		while (numbers[end + 1] === numbers[end] + 1)
			end++;
		parts.push(numbers[i].toString(36) + (end > i ? "-" + numbers[end].toString(36) : ""));
		i = end + 1;
	}
	return parts.join(".");
}

function unpackRows(text) {
	const set = new Set();
	for (const part of (text || "").split(".")) {
		const [from, to] = part.split("-").map((n) => parseInt(n, 36));
		for (let i = from; i <= Math.min(Number.isInteger(to) ? to : from, D.rows.length - 1); i++)
			set.add(D.rows[i]);
	}
	set.delete(undefined);
	return set;
}

// A row by its id, with its number when another has the same id.
function packRow(row) {
	return D.rows.find((r) => r.id === row.id) === row ? row.id : "~" + row.n;
}

function unpackRow(text) {
	return D.rows.find((r) => r.id === text) || (/^~\d+$/.test(text) && D.rows[Number(text.slice(1))]) || null;
}

function stateText() {
	const p = new URLSearchParams();
	const put = (key, value, plain) => {
		if (value !== plain && value !== "" && value !== null)
			p.set(key, value);
	};
	put("view", S.view, "flame");
	put("show", S.scope, "all");
	if (S.scope === "row" && S.row)
		p.set("row", packRow(S.row));
	put("compare", S.preset, "");
	if (!S.preset) {
		put("a", packRows(S.a), "");
		put("b", packRows(S.b), "");
	}
	if (S.scope === "row") {
		put("mark", S.mark, "");
		if (S.view === "timeline") {
			put("at", S.at, "");
			put("time", S.time, "");
		}
	}
	put("zoom", S.zoom ? String(S.zoom) : "", "");
	put("q", S.q, "");
	put("value", D.types[S.value].name, D.types[valueAtFirst()].name);
	put("basis", S.basis, "mean");
	put("sort", (S.down ? "-" : "") + S.sort, "-duration_ns");
	put("filter", S.filter, "");
	put("function", S.fn, "");
	put("outcome", S.outcome, "");
	put("cold", S.cold, "");
	const kinds = [...S.kinds].sort().join(",");
	put("kinds", kinds || "none", [...kindsAtFirst()].sort().join(","));
	return p.toString();
}

const valueAtFirst = () => Math.min(1, D.types.length - 1);

function readState() {
	const p = new URLSearchParams(location.hash.slice(1));
	const get = (key, plain) => p.get(key) ?? plain;
	const oneOf = (key, values) => values.includes(p.get(key)) ? p.get(key) : values[0];
	S.view = oneOf("view", ["flame", "icicle", "timeline"]);
	S.scope = oneOf("show", ["all", "listed", "row", "sets"]);
	S.row = unpackRow(get("row", ""));
	if (S.scope === "row" && !S.row)
		S.scope = "all";
	S.mark = get("mark", "");
	S.at = get("at", "");
	S.time = get("time", "");
	const value = D.types.findIndex((type) => type.name === p.get("value"));
	S.value = value >= 0 ? value : valueAtFirst();
	S.basis = oneOf("basis", ["mean", "share"]);
	S.q = get("q", "");
	const sort = get("sort", "-duration_ns");
	S.down = sort.startsWith("-");
	S.sort = COLUMNS.some((column) => column.key === sort.replace("-", "")) ? sort.replace("-", "") : "duration_ns";
	S.filter = get("filter", "");
	S.fn = get("function", "");
	S.outcome = get("outcome", "");
	S.cold = oneOf("cold", ["", "cold", "warm", "unknown"]);
	S.kinds = p.has("kinds") ? new Set(p.get("kinds").split(",").filter((k) => k !== "none")) : kindsAtFirst();
	S.a = unpackRows(p.get("a"));
	S.b = unpackRows(p.get("b"));
	const scope = S.scope;
	applyPreset(get("compare", ""));
	S.scope = S.preset && scope === "all" ? "all" : scope;
	const zoom = Number(get("zoom", "0"));
	S.zoom = Number.isInteger(zoom) && zoom > 0 && zoom < D.nodes.n ? zoom : 0;
}

// A step that "back" should undo is a new entry of the history; typing is not.
function saveState(step) {
	const hash = stateText();
	if (hash === location.hash.slice(1))
		return;
	const url = hash ? "#" + hash : location.pathname + location.search;
	try {
		history[step ? "pushState" : "replaceState"](null, "", url);
	} catch {
		location.hash = hash;
	}
}

function storedTheme() {
	try {
		return localStorage.getItem("fnprof-theme");
	} catch {
		return null;
	}
}

function storeTheme(name) {
	try {
		localStorage.setItem("fnprof-theme", name);
	} catch {
		// A file opened from disk may have no storage; then the choice lasts as long as the page.
	}
}
