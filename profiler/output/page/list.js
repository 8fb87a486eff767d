// SPDX-License-Identifier: Apache-2.0
// The list of rows. Only what is in view has elements, so ten thousand rows scroll like thirty.
const LINE = 30;

const L = {rows: [], slowest: 1, lines: [], pending: 0, cursor: -1};
const listBody = $("list-body"), listSpace = $("list-space");

const COLUMNS = [
	{key: "a", label: "A", title: "rows of set A"},
	{key: "b", label: "B", title: "rows of set B"},
	{key: "function", label: "Function"},
	{key: "id", label: "Id"},
	{key: "kind", label: "Kind"},
	{key: "start", label: "Start", number: true},
	{key: "duration_ns", label: "Duration", number: true},
	{key: "cpu_ns", label: "CPU", number: true},
	{key: "samples", label: "Samples", number: true},
	{key: "cold", label: "Cold"},
	{key: "outcome", label: "Outcome"},
];

function makeListHead() {
	for (const column of COLUMNS) {
		const cell = el("div", {role: "columnheader", className: `c-${column.key}` + (column.number ? " number" : "")});
		if (column.key === "a" || column.key === "b") {
			const button = el("button", {type: "button", textContent: column.label,
				title: `all listed rows into set ${column.label}, or out of it`});
			button.addEventListener("click", () => toggleListed(column.key));
			cell.append(button);
		} else {
			const button = el("button", {type: "button", textContent: column.label, "data-sort": column.key});
			button.addEventListener("click", () => sortBy(column.key));
			cell.append(button);
		}
		$("list-head").append(cell);
	}
}

function sortBy(key) {
	const texts = ["function", "id", "kind", "outcome", "start"];
	S.down = S.sort === key ? !S.down : !texts.includes(key);
	S.sort = key;
	showList();
	saveState(false);
}

function makeLine() {
	const cells = {};
	const line = el("div", {role: "row", className: "line"});
	for (const {key, number} of COLUMNS) {
		const cell = el("div", {role: "gridcell", className: `c-${key}` + (number ? " number" : "")});
		if (key === "a" || key === "b") {
			cells[key] = el("input", {type: "checkbox", className: "in-" + key, tabIndex: -1});
			cells[key].addEventListener("change", () => toggleRow(key, cells.row, cells[key].checked));
			cell.append(cells[key]);
		} else if (key === "duration_ns") {
			cells.bar = el("i", {className: "bar"});
			cells[key] = el("span", {});
			cell.append(cells.bar, cells[key]);
		} else if (key === "outcome" || key === "cold") {
			cells[key] = el("span", {});
			cell.append(cells[key]);
		} else {
			cells[key] = cell;
		}
		line.append(cell);
	}
	line.addEventListener("click", (event) => {
		if (event.target.tagName !== "INPUT")
			selectRow(cells.row, true);
	});
	listSpace.append(line);
	return {line, cells};
}

const known = (value, format) => value === undefined || value === null ? "\u2013" : format(value);

function fillLine({line, cells}, row, at) {
	const text = (key, value) => {
		if (cells[key].textContent !== value)
			cells[key].textContent = value;
	};
	cells.row = row;
	line.style.transform = `translateY(${at * LINE}px)`;
	line.setAttribute("aria-rowindex", at + 2);
	line.setAttribute("aria-selected", S.row === row);
	line.classList.toggle("without", !row.has);
	cells.a.checked = S.a.has(row);
	cells.b.checked = S.b.has(row);
	const id = clean(row.id).slice(0, 300);
	cells.a.setAttribute("aria-label", "A: " + id);
	cells.b.setAttribute("aria-label", "B: " + id);
	text("function", clean(row.function).slice(0, 300));
	text("id", id);
	cells.id.title = row.has ? id : id + "\nits own graph is not on this page";
	text("kind", clean(row.kind));
	text("start", known(row.start, timeOfDay));
	text("duration_ns", known(row.duration_ns, duration));
	cells.bar.style.width = Math.min(100, 100 * (row.duration_ns || 0) / L.slowest) + "%";
	text("cpu_ns", known(row.cpu_ns, duration));
	text("samples", known(row.samples, count));
	const cold = coldText(row), outcome = outcomeText(row);
	text("cold", cold === "cold" ? "cold" : cold === "warm" ? "" : row.kind === "invocation" ? "?" : "");
	cells.cold.className = cold === "cold" ? "badge cold" : "quiet";
	text("outcome", outcome === "unknown" ? (row.kind === "invocation" ? "?" : "") : clean(outcome).slice(0, 40));
	cells.outcome.className = outcome === "unknown" ? "quiet" : outcome === "ok" ? "badge ok" : "badge bad";
}

function drawList() {
	L.pending = 0;
	const top = listBody.scrollTop, height = listBody.clientHeight;
	const from = Math.max(0, Math.floor(top / LINE) - 3);
	const to = Math.min(L.rows.length, Math.ceil((top + height) / LINE) + 3);
	while (L.lines.length < to - from)
		L.lines.push(makeLine());
	L.lines.forEach((line, i) => {
		line.line.hidden = from + i >= to;
		if (from + i < to)
			fillLine(line, L.rows[from + i], from + i);
	});
}

function redrawList() {
	if (!L.pending)
		L.pending = requestAnimationFrame(drawList);
}

// After a change of filter or order.
function showList() {
	L.rows = listedRows();
	L.slowest = L.rows.reduce((most, row) => Math.max(most, row.duration_ns || 0), 1);
	L.cursor = S.row ? L.rows.indexOf(S.row) : -1;
	listSpace.style.height = L.rows.length * LINE + "px";
	$("list").setAttribute("aria-rowcount", L.rows.length + 1);
	$("listed").textContent = L.rows.length === D.head.rows ? count(D.head.rows)
		: `${count(L.rows.length)} of ${count(D.head.rows)}`;
	for (const button of document.querySelectorAll("[data-sort]")) {
		const own = button.dataset.sort === S.sort;
		button.parentElement.setAttribute("aria-sort", own ? (S.down ? "descending" : "ascending") : "none");
	}
	listBody.classList.toggle("none", L.rows.length === 0);
	listBody.dataset.none = D.rows.length === 0 ? "No rows." : "No row matches.";
	$("clear-sets").hidden = S.a.size + S.b.size === 0;
	redrawList();
	if (S.scope === "listed")
		showGraph();
}

function selectRow(row, byHand) {
	S.row = row;
	S.scope = "row";
	S.zoom = 0;
	S.at = S.time = "";
	L.cursor = L.rows.indexOf(row);
	redrawList();
	showGraph();
	if (byHand)
		saveState(true);
}

function toggleRow(key, row, into) {
	const set = S[key];
	if (into) {
		set.add(row);
		S[key === "a" ? "b" : "a"].delete(row);
	} else {
		set.delete(row);
	}
	setsChanged();
}

function toggleListed(key) {
	const set = S[key], other = S[key === "a" ? "b" : "a"];
	const all = L.rows.length > 0 && L.rows.every((row) => set.has(row));
	for (const row of L.rows) {
		if (all)
			set.delete(row);
		else
			set.add(row);
		other.delete(row);
	}
	setsChanged();
}

function setsChanged() {
	S.preset = "";
	S.scope = S.a.size + S.b.size > 0 ? "sets" : "all";
	S.zoom = 0;
	showList();
	showGraph();
	saveState(true);
}

function scrollToCursor() {
	const y = L.cursor * LINE;
	if (y < listBody.scrollTop)
		listBody.scrollTop = y;
	else if (y + LINE > listBody.scrollTop + listBody.clientHeight)
		listBody.scrollTop = y + LINE - listBody.clientHeight;
}

function listKeys(event) {
	const page = Math.max(1, Math.floor(listBody.clientHeight / LINE) - 1);
	const steps = {ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -Infinity, End: Infinity};
	if (event.target.tagName === "BUTTON" || event.ctrlKey || event.metaKey || event.altKey)
		return;
	if (Object.hasOwn(steps, event.key) && L.rows.length > 0) {
		L.cursor = Math.min(L.rows.length - 1, Math.max(0, L.cursor + steps[event.key]));
		scrollToCursor();
		selectRow(L.rows[L.cursor], true);
		event.preventDefault();
	} else if ((event.key === "a" || event.key === "b") && S.row) {
		toggleRow(event.key, S.row, !S[event.key].has(S.row));
		event.preventDefault();
	}
}

function fillSelect(select, first, values) {
	select.replaceChildren(el("option", {value: "", textContent: first}),
		...values.map((value) => el("option", {value, textContent: clean(value).slice(0, 80)})));
}

function makeFilters() {
	const distinct = (values) => [...new Set(values)].sort();
	fillSelect($("by-function"), "all functions", distinct(D.rows.map((row) => row.function)).slice(0, 2000));
	fillSelect($("by-outcome"), "any outcome", distinct(D.rows.map(outcomeText)));
	for (const kind of kindsPresent()) {
		const chip = el("button", {type: "button", textContent: clean(kind).slice(0, 40), "data-kind": kind});
		chip.addEventListener("click", () => {
			if (!S.kinds.delete(kind))
				S.kinds.add(kind);
			filtersChanged();
		});
		$("kinds").append(chip);
	}
	const bind = (id, key, event) => $(id).addEventListener(event, () => {
		S[key] = $(id).value;
		filtersChanged();
	});
	bind("filter", "filter", "input");
	bind("by-function", "fn", "change");
	bind("by-outcome", "outcome", "change");
	bind("by-cold", "cold", "change");
}

function showFilters() {
	$("filter").value = S.filter;
	$("by-function").value = S.fn;
	$("by-outcome").value = S.outcome;
	$("by-cold").value = S.cold;
	$("compare").value = S.preset;
	for (const chip of $("kinds").children)
		chip.setAttribute("aria-pressed", S.kinds.has(chip.dataset.kind));
}

function filtersChanged() {
	if (S.preset) {
		applyPreset(S.preset);
		showGraph();
	}
	showFilters();
	listBody.scrollTop = 0;
	showList();
	saveState(false);
}

// A short list leaves its room to the graph, until somebody moves the border.
function fitListHeight() {
	const body = Math.max(4, D.rows.length + 1) * LINE;
	$("rows").style.maxHeight = $("rows").clientHeight - listBody.clientHeight + body + "px";
}

function listenToList() {
	listBody.addEventListener("scroll", redrawList);
	$("list").addEventListener("keydown", listKeys);
	new ResizeObserver(redrawList).observe(listBody);
}
