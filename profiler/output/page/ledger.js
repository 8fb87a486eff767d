// SPDX-License-Identifier: Apache-2.0
// Where wall time went: of one row, of quantiles of many, of two sets. Shown as bars over the graph and as a table.

// By the names of the index, in their order of precedence: label, colour, letters on it. Each pair is apart also without
// red, green or blue, and each label can be read on its colour; the e2e test holds both.
const LEDGER = {
	frozen: ["frozen", "#5b5e69", "#ffffff"], gc: ["GC", "#a970c5", "#1b1e25"], on_cpu: ["on CPU", "#ecae59", "#1b1e25"],
	stolen: ["stolen", "#a63817", "#ffffff"], run_queue: ["run queue", "#e6896c", "#1b1e25"], lock: ["lock", "#214f96", "#ffffff"],
	poll: ["poll", "#96bdec", "#1b1e25"], network: ["network", "#186fd1", "#ffffff"], disk: ["disk", "#319894", "#1b1e25"],
	pipe: ["pipe", "#a0edc7", "#1b1e25"], sleep: ["sleep", "#dbf5f9", "#1b1e25"], page_fault: ["page fault", "#323d58", "#ffffff"],
	child: ["child", "#829728", "#1b1e25"], other: ["other", "#9db5a3", "#1b1e25"], waiting_async: ["waiting (async)", "#cbbfd4", "#1b1e25"],
};
const LEDGER_MEANINGS = {
	frozen: "stopped: cgroup freezer, SIGSTOP, a debugger", gc: "a collection of the runtime ran or stopped it",
	on_cpu: "at least one of its threads computed", stolen: "on a CPU, but the host ran something else there",
	run_queue: "could have run, and waited for a CPU", waiting_async: "no thread holds it: an event loop that waits, or work between threads",
};

const ledgerLook = (name) => Object.hasOwn(LEDGER, name) ? LEDGER[name] : [clean(name).slice(0, 30).replaceAll("_", " "), "#9db5a3", "#1b1e25"];

function ledgerOf(row) {
	const ledger = row.ledger;
	if (!ledger || typeof ledger !== "object" || Array.isArray(ledger))
		return null;
	const lines = Object.entries(ledger).filter(([, ns]) => isNumber(ns) && ns >= 0).slice(0, 32);
	return lines.length > 0 ? lines : null;
}

// The mean ledger of rows, as a column: {label, title, n, lines: Map, total}; null when none of them has one.
function ledgerColumn(label, title, rows) {
	const lines = new Map();
	let n = 0, total = 0;
	for (const row of rows) {
		const ledger = ledgerOf(row);
		if (!ledger)
			continue;
		n++;
		for (const [name, ns] of ledger)
			lines.set(name, (lines.get(name) || 0) + ns);
	}
	if (n === 0)
		return null;
	for (const [name, ns] of lines) {
		lines.set(name, ns / n);
		total += ns / n;
	}
	return {label, title, n, lines, total};
}

// The rows around a quantile, 5 % of all to each side at the median, 1 % at the 99th percentile, as `fnprof show` takes
// them (profiler/output/ledger_table.h): one row alone would be as good or bad as its own luck.
function rowsAround(sorted, percentile) {
	const n = sorted.length;
	const rank = Math.max(1, Math.ceil(n * percentile / 100)) - 1;
	const side = Math.floor(n * Math.min(5, 100 - percentile) / 100);
	return sorted.slice(Math.max(0, rank - side), rank + side + 1);
}

function quantileColumns(rows, prefix) {
	const known = rows.filter((row) => ledgerOf(row)).sort((a, b) => a.duration_ns - b.duration_ns || a.n - b.n);
	const column = (label, percentile) => {
		const around = rowsAround(known, percentile);
		return ledgerColumn(prefix + label, `mean of ${many(around.length, "invocation")} around it`, around);
	};
	return known.length === 0 ? [] : [column("median", 50), column("p99", 99),
		ledgerColumn(prefix + "mean", `of ${many(known.length, "invocation")}`, known)];
}

const initOf = (row) => isOwnText(row.init) ? D.rows.find((r) => r.kind === "init" && r.id === row.init) || null : null;

// Invocations by function, those with most rows first.
function byFunction(rows) {
	const found = new Map();
	for (const row of rows) {
		if (row.kind !== "invocation")
			continue;
		if (!found.has(row.function))
			found.set(row.function, []);
		found.get(row.function).push(row);
	}
	return [...found].sort((a, b) => b[1].length - a[1].length);
}

// What is compared in this scope. `lacking`: rows that would be in it, had they a ledger.
function ledgerColumns() {
	if (S.scope === "row" && S.row) {
		const init = S.row.cold === true ? initOf(S.row) : null;
		return {columns: [init && ledgerColumn("its init", "what its user waited for before it", [init]), ledgerColumn("this " + clean(S.row.kind), "", [S.row])].filter(Boolean),
			lacking: ["invocation", "init"].includes(S.row.kind) && !ledgerOf(S.row) ? 1 : 0};
	}
	if (S.scope === "sets") {
		const names = S.preset ? PRESETS[S.preset] : {a: "A", b: "B"};
		const rows = [...S.a, ...S.b];
		return {columns: [ledgerColumn(names.a, `mean of ${many(S.a.size, "row")}`, S.a), ledgerColumn(names.b, `mean of ${many(S.b.size, "row")}`, S.b)].filter(Boolean),
			lacking: rows.filter((row) => !ledgerOf(row)).length};
	}
	const rows = S.scope === "listed" ? L.rows : D.rows;
	const functions = byFunction(rows);
	const lacking = rows.filter((row) => row.kind === "invocation" && !ledgerOf(row)).length;
	if (functions.length === 1)
		return {columns: quantileColumns(functions[0][1], ""), lacking};
	const columns = functions.slice(0, 3).flatMap(([name, own]) => quantileColumns(own, clean(name).slice(0, 40) + " ").slice(0, 2));
	return {columns, lacking, severalFunctions: true};
}

function ledgerBar(column, longest) {
	const bar = el("div", {className: "ledger-bar", role: "img"});
	const words = [];
	for (const [name, ns] of column.lines) {
		if (!(ns > 0))
			continue;
		const [label, color, ink] = ledgerLook(name);
		const part = el("i", {title: `${label}: ${duration(ns)}, ${percent(ns / column.total)}`, "data-line": name}, ns / longest > 0.07 ? label : "");
		part.style.width = 100 * ns / longest + "%";
		part.style.background = color;
		part.style.color = ink;
		bar.append(part);
		words.push(`${label} ${percent(ns / column.total)}`);
	}
	bar.setAttribute("aria-label", `${column.label}: ${duration(column.total)}, ${words.join(", ")}`);
	return bar;
}

function showLedgerBars() {
	const {columns, severalFunctions} = ledgerColumns();
	const shownColumns = columns.filter((column) => severalFunctions || columns.length < 3 || !column.label.endsWith("mean"));
	const longest = shownColumns.reduce((most, column) => Math.max(most, column.total), 0) || 1;
	$("ledger").hidden = shownColumns.length === 0;
	$("ledger").classList.toggle("many", shownColumns.length > 3);
	$("ledger").replaceChildren(...shownColumns.flatMap((column) => [
		el("span", {className: "quiet", title: column.title}, column.label), ledgerBar(column, longest), el("b", {}, duration(column.total))]));
}

// The same as a table of the facts; null without a ledger, a sentence where one was to be expected.
function ledgerTable() {
	const {columns, lacking, severalFunctions} = ledgerColumns();
	if (columns.length === 0)
		return lacking ? el("div", {className: "ledger-table"}, el("h3", {}, "Where its time went"),
			quiet(lacking === 1 ? "not known: this row has no ledger" : "not known: these rows have no ledger")) : null;
	if (severalFunctions)
		return null;
	const names = [...new Set(columns.flatMap((column) => [...column.lines.keys()]))].filter((name) => columns.some((column) => column.lines.get(name) > 0));
	const single = columns.length === 1;
	const cells = (name, column, ns) => {
		const share = ns > 0 ? percent(ns / column.total) : "";
		const time = el("td", {title: share}, ns > 0 ? duration(ns) : "\u2013");
		return single ? [time, el("td", {className: "quiet"}, share)] : [time];
	};
	const line = (name) => {
		const [label, color] = ledgerLook(name);
		const dot = el("i", {className: "dot"});
		dot.style.background = color;
		return el("tr", {"data-line": name}, el("th", {scope: "row", title: LEDGER_MEANINGS[name] || ""}, dot, label),
			...columns.flatMap((column) => cells(name, column, column.lines.get(name) || 0)));
	};
	const head = el("tr", {}, el("th", {}), ...columns.map((column) =>
		el("th", {scope: "col", title: column.title, colSpan: single ? 2 : 1}, single ? "time and share" : column.label)));
	const whole = el("tr", {className: "whole"}, el("th", {scope: "row"}, "in all"), ...columns.flatMap((column) => cells("", column, column.total)));
	return el("div", {className: "ledger-table"}, el("h3", {}, S.scope === "row" ? "Where its time went" : "Where the time went"),
		el("table", {}, el("thead", {}, head), el("tbody", {}, ...names.map(line), whole)),
		lacking ? el("p", {className: "quiet"}, `${many(lacking, "row")} without a ledger`) : null);
}
