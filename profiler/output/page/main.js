// SPDX-License-Identifier: Apache-2.0
// Puts the parts together and listens to what concerns all of them.

const dark = matchMedia("(prefers-color-scheme: dark)");
let shown = null, showing = 0;
const VALUE_NAMES = Object.assign(Object.create(null), {samples: "samples", cpu: "CPU time", off_cpu: "off CPU", run_queue: "run queue"});

function segments(id, choices, key, changed) {
	for (const [value, label, title] of choices) {
		const button = el("button", {type: "button", role: "radio", textContent: label, title: title || "", "data-value": value});
		button.addEventListener("click", () => {
			S[key] = value;
			changed();
		});
		$(id).append(button);
	}
}

function showSegments(id, value, allowed) {
	for (const button of $(id).children) {
		button.setAttribute("aria-checked", button.dataset.value === value);
		button.disabled = allowed ? !allowed(button.dataset.value) : false;
	}
}

function showControls() {
	showSegments("view", S.scope !== "row" && S.view === "timeline" ? "flame" : S.view, (value) => value !== "timeline" || S.scope === "row");
	showSegments("scope", S.scope, (value) => value === "row" ? S.row !== null
		: value === "sets" ? S.a.size + S.b.size > 0 : value === "listed" ? L.rows.length > 0 : true);
	const both = S.scope === "sets" && S.a.size > 0 && S.b.size > 0;
	$("basis").hidden = $("swap").hidden = !both;
	$("basis").value = S.basis;
	$("value").value = String(S.value);
	$("value").hidden = D.types.length < 2 || (S.scope === "row" && S.view === "timeline");
	$("search").value = S.q;
	$("compare").value = S.preset;
	showLegend(both);
}

// What the colours of the timeline mean, of what is there.
function timelineLegend() {
	const items = [], seen = new Set();
	const swatch = (key, [label, color]) => {
		if (seen.has(label))
			return;
		seen.add(label);
		const dot = el("i", {className: "dot"});
		dot.style.background = color;
		items.push(el("span", {}, dot, label));
	};
	for (const lane of T.lanes) {
		lane.spans.forEach((event) => swatch(event.what, spanLook(event.what)));
		lane.states.forEach((event) => swatch(event.name, ledgerLook(event.what === "on_cpu" ? "on_cpu" : event.name || "other")));
	}
	$("legend").replaceChildren(...items.slice(0, 16), el("span", {className: "keys"}, el("kbd", {}, "\u2190\u2191\u2193\u2192"), " move ",
		el("kbd", {}, "Enter"), " open ", el("kbd", {}, "+"), el("kbd", {}, "\u2212"), " zoom"));
}

function showLegend(both) {
	const legend = $("legend"), items = [];
	const swatch = (color, label, className) => {
		const dot = el("i", {className: "dot " + (className || "")});
		dot.style.background = color;
		items.push(el("span", {}, dot, label));
	};
	if (both) {
		swatch(differenceColor(1), "more in A");
		swatch(differenceColor(0), "the same");
		swatch(differenceColor(-1), "more in B");
		items.push(el("span", {}, "widths are A's"));
	} else {
		const present = new Set(D.frame.kind.slice(1));
		KINDS.forEach((kind, i) => present.has(i) && swatch(theme.shades[i][2], KIND_NAMES[i], kind));
		const tiers = new Set(D.frame.tier.slice(1));
		if (D.frame.inlined.includes(1))
			items.push(el("span", {}, el("em", {}, "name"), " inlined"));
		if (tiers.has(TIER_JIT))
			items.push(el("span", {}, el("u", {className: "jit"}, "name"), " compiled by a JIT"));
		if (tiers.has(TIER_INTERPRETED))
			items.push(el("span", {}, el("u", {className: "interpreted"}, "name"), " interpreted"));
		if (tiers.has(TIER_AWAITING))
			items.push(el("span", {}, el("u", {className: "awaiting"}, "name"), " awaiting"));
	}
	legend.replaceChildren(...items, el("span", {className: "keys"},
		el("kbd", {}, "\u2190\u2191\u2193\u2192"), " move ", el("kbd", {}, "Enter"), " zoom ", el("kbd", {}, "Esc"), " reset ",
		el("kbd", {}, "/"), " search"));
}

function notes() {
	const found = [];
	if (S.scope === "row" && S.row && !S.row.has)
		found.push(S.row.chunk === UNREADABLE ? "The profile of this row could not be read."
			: "The graph of this row is not on this page: it holds the slowest rows and an even choice of the rest. " +
			  "Its facts are here, its samples are in All together, and fnprof export writes its own graph.");
	else if (shown && shown.a.missing + (shown.b ? shown.b.missing : 0) > 0)
		found.push(`${many(shown.a.missing + (shown.b ? shown.b.missing : 0), "row")} of these have no graph of their own ` +
			"on this page, and are not in this picture.");
	if (S.scope === "all" && D.head.cut > 0)
		found.push(`${many(D.head.cut, "sample")} end before their leaf: the page has no room for more different stacks.`);
	if (S.scope === "all" && D.head.unreadable > 0)
		found.push(`${many(D.head.unreadable, "row")} could not be read, and are in no graph.`);
	return found;
}

// What an empty graph means.
function whyEmpty() {
	if (D.head.rows === 0)
		return ["Nothing was recorded", "No process was watched while this recording ran, so it has no rows."];
	if (S.scope === "row" && S.row && !S.row.has)
		return ["No graph here", ""];
	if (!["samples", "cpu"].includes(D.types[S.value].type))
		return ["Nothing here", "These rows have none of this value."];
	if (S.scope === "row" && S.row)
		return ["No samples", "No timer tick met this row on a CPU: it was short, or it waited. Its facts are exact all the same."];
	return ["No samples", "No timer tick met these rows on a CPU."];
}

// Sums what the scope says and draws it. A later call wins over one that still waits for its data.
async function showGraph() {
	const turn = ++showing;
	showControls();
	let next;
	try {
		next = await graphOfScope(L.rows);
		const init = S.scope === "row" && S.row.cold === true ? initOf(S.row) : null;
		next.initStory = init && await storyOf(init);
	} catch (error) {
		trouble(error);
		return;
	}
	if (turn !== showing)
		return;
	shown = next;
	showLedgerBars();
	showTimeline(S.scope === "row" ? S.row : null, shown.story);
	if (!$("timeline").hidden)
		timelineLegend();
	$("title").textContent = shown.title.slice(0, 200);
	$("subtitle").textContent = shown.subtitle.slice(0, 200);
	showSums(shown);
	const [head, text] = whyEmpty();
	$("empty").replaceChildren(el("strong", {}, head), el("span", {}, text));
	const found = notes();
	$("note").hidden = found.length === 0;
	$("note").textContent = found.join(" ");
	showFacts();
	document.documentElement.dataset.ready = String(turn);
}

function showRecording() {
	const s = D.head.summary, invocations = D.groups.filter((g) => g.kind === "invocation");
	const parts = [];
	const n = invocations.reduce((sum, group) => sum + group.rows, 0);
	if (n > 0)
		parts.push(many(n, "invocation"), invocations.some((group) => group.function === "")
			? `more than ${many(invocations.length - 1, "function")}` : many(invocations.length, "function"));
	else
		parts.push(many(D.head.rows, "row"));
	if (s && isNumber(s.duration_ns))
		parts.push(duration(s.duration_ns));
	if (s && isNumber(s.samples))
		parts.push(many(s.samples, "sample") + (isNumber(s.rate_hz) ? ` at ${count(s.rate_hz)} Hz` : ""));
	if (s && isOwnText(s.start))
		parts.push(clean(s.start).slice(0, 19).replace("T", " ") + " UTC");
	$("list-title").textContent = n > 0 ? "Invocations" : "Rows";
	const single = D.rows.filter((row) => row.has).length;
	if (D.rows.length < D.head.rows - D.head.unreadable)
		parts.push(`${count(D.rows.length)} of ${count(D.head.rows)} rows listed`);
	if (single < D.rows.length)
		parts.push(`${count(single)} rows with a graph of their own`);
	$("recording").replaceChildren(...parts.map((part) => el("span", {}, part)));
	document.title = (n > 0 ? many(n, "invocation") + " \u00b7 " : "") + "fnprof";
}

function trouble(error) {
	$("trouble").hidden = false;
	$("trouble").textContent = "This page is damaged or this browser is too old (it needs DecompressionStream): " +
		clean(error && error.message || error);
}

function chooseTheme(name) {
	setTheme(name);
	if (D.frame) {
		showControls();
		if (G.weight)
			showFacts();
		redraw();
		redrawLanes();
	}
}

function resetZoom() {
	if (S.zoom === 0 && G.zoom === 0)
		return;
	zoomTo(0, false);
	saveState(true);
}

function keys(event) {
	const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== "checkbox";
	if (event.ctrlKey || event.metaKey || event.altKey)
		return;
	if (event.key === "/" && !typing) {
		$("search").focus();
		$("search").select();
		event.preventDefault();
	} else if (event.key === "Escape") {
		if (event.target === $("search") && S.q) {
			S.q = $("search").value = "";
			search("");
			saveState(false);
			event.preventDefault();
		} else if (!typing) {
			resetZoom();
		} else {
			event.target.blur();
		}
	}
}

function listenToSplit() {
	const split = $("split"), rows = $("rows");
	const resize = (height) => {
		rows.style.maxHeight = "none";
		rows.style.flexBasis = Math.min(innerHeight - 260, Math.max(110, height)) + "px";
	};
	split.addEventListener("pointerdown", (event) => {
		split.setPointerCapture(event.pointerId);
		const from = event.clientY - rows.getBoundingClientRect().height;
		split.onpointermove = (move) => resize(move.clientY - from);
	});
	split.addEventListener("pointerup", () => {
		split.onpointermove = null;
	});
	split.addEventListener("keydown", (event) => {
		if (event.key === "ArrowUp" || event.key === "ArrowDown") {
			resize(rows.getBoundingClientRect().height + (event.key === "ArrowUp" ? -30 : 30));
			event.preventDefault();
		}
	});
}

function listen() {
	$("search").addEventListener("input", () => {
		S.q = $("search").value;
		search(S.q);
		showHit();
		saveState(false);
	});
	$("reset").addEventListener("click", resetZoom);
	$("value").addEventListener("change", () => {
		S.value = Number($("value").value);
		showGraph();
		saveState(false);
	});
	$("basis").addEventListener("change", () => {
		S.basis = $("basis").value;
		setBasis();
		redraw();
		saveState(false);
	});
	$("swap").addEventListener("click", () => {
		[S.a, S.b, S.preset, S.zoom] = [S.b, S.a, "", 0];
		showList();
		showGraph();
		saveState(true);
	});
	$("compare").addEventListener("change", () => {
		S.zoom = 0;
		applyPreset($("compare").value);
		showList();
		showGraph();
		saveState(true);
	});
	$("clear-sets").addEventListener("click", () => {
		S.a.clear();
		S.b.clear();
		setsChanged();
	});
	$("theme").addEventListener("click", () => {
		const name = theme.name === "dark" ? "light" : "dark";
		storeTheme(name);
		chooseTheme(name);
	});
	dark.addEventListener("change", () => storedTheme() || chooseTheme(dark.matches ? "dark" : "light"));
	addEventListener("keydown", keys);
	addEventListener("popstate", showState);
	addEventListener("hashchange", showState);
	listenToGraph();
	listenToLanes();
	listenToList();
	listenToSplit();
}

let stateShown = null;

// popstate and hashchange both come for one step.
function showState() {
	if (stateShown === location.hash && stateText() === location.hash.slice(1))
		return;
	stateShown = location.hash;
	readState();
	showFilters();
	showList();
	scrollToCursor();
	showGraph();
}

async function start() {
	setTheme(storedTheme() || (dark.matches ? "dark" : "light"));
	try {
		await load();
	} catch (error) {
		trouble(error);
		return;
	}
	segments("scope", [["all", "All", "everything together"], ["listed", "Listed", "the rows in the list, together"],
		["row", "One", "the selected row"], ["sets", "A and B", "the rows checked as A, compared with those checked as B"]],
		"scope", () => {
			S.zoom = 0;
			showGraph();
			saveState(true);
		});
	segments("view", [["flame", "Flame", "callers below"], ["icicle", "Icicle", "callers above"],
		["timeline", "Timeline", "when it was, of one row"]], "view", () => {
		showGraph();
		saveState(false);
	});
	D.types.forEach((type, i) => $("value").append(el("option", {value: String(i), textContent:
		VALUE_NAMES[type.type] ?? type.type.replaceAll("_", " ")})));
	makeListHead();
	makeFilters();
	showRecording();
	listen();
	showState();
	fitListHeight();
}

start();
