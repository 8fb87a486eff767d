// SPDX-License-Identifier: Apache-2.0
// What is known of what is shown. What is not known is shown as not known.

const quiet = (text) => el("span", {className: "quiet"}, text);
const mono = (text) => el("code", {}, text);
const isNumber = (v) => typeof v === "number" && Number.isFinite(v);

// [label, value]; a value that is no text and no element is not known.
function factList(facts) {
	const list = el("dl", {className: "facts"});
	for (const [label, value] of facts) {
		const text = typeof value === "string" && value !== "";
		list.append(el("dt", {}, label), el("dd", {}, text || value instanceof Node ? value : quiet("unknown")));
	}
	return list;
}

const ns = (v) => isNumber(v) ? duration(v) : undefined;
const text = (v) => isOwnText(v) || isNumber(v) ? clean(v) : undefined;
const when = (v) => text(v) && mono(text(v).replace("T", " "));
const code = (v) => text(v) && mono(text(v));

// {exact: 9, shared: 0} as "exact 9"; "none" when all are 0.
function tally(object, empty) {
	if (!object || typeof object !== "object" || Array.isArray(object))
		return undefined;
	const parts = Object.entries(object).filter(([, n]) => isNumber(n) && n > 0)
		.map(([key, n]) => `${clean(key).replaceAll("_", " ")} ${count(n)}`);
	return parts.join(", ") || empty;
}

// Samples whose stack is not whole, by the marker that stands in its place.
function truncations(self) {
	const found = new Map();
	for (let i = 1; i < D.nodes.n; i++) {
		const frame = D.nodes.frame[i];
		if (KINDS[D.frame.kind[frame]] !== "marker" || !(G.counts[i] > 0))
			continue;
		const match = /^\[truncated: (.*)\]$/.exec(D.names[D.frame.name[frame]]);
		if (match)
			found.set(match[1], (found.get(match[1]) || 0) + G.counts[i]);
	}
	return tally(Object.fromEntries(found), "none");
}

// A path of the index as a link, when it is one below the page's own folder.
function fileLink(path) {
	if (!isOwnText(path))
		return undefined;
	const parts = path.split("/");
	if (parts.some((part) => part === "" || part === "." || part === "..") || path.includes("\\") || path.includes("\0"))
		return mono(clean(path));
	const name = parts[parts.length - 1];
	return el("a", {href: "./" + parts.map(encodeURIComponent).join("/"), title: clean(path)},
		name.endsWith(".folded") ? "folded stacks" : name.endsWith(".events.jsonl") ? "events" : "pprof");
}

function initLink(row) {
	const init = isOwnText(row.init) && D.rows.find((r) => r.kind === "init" && r.id === row.init);
	if (!init)
		return code(row.init);
	const link = el("button", {type: "button", className: "link"}, clean(init.id));
	link.addEventListener("click", () => selectRow(init, true));
	return link;
}

function rowFacts(row) {
	const facts = [["kind", text(row.kind)], ["id", code(row.id)], ["function", text(row.function)]];
	const own = row.kind === "invocation";
	facts.push(["version", text(row.version)], ["runtime", text(row.runtime)]);
	if (own || row.source !== undefined)
		facts.push(["source", text(row.source)]);
	if (own || row.outcome !== undefined)
		facts.push(["outcome", text(row.outcome)]);
	if (own)
		facts.push(["cold", row.cold === undefined ? undefined : row.cold ? "yes" : "no"], ["init", initLink(row)],
			["trace id", code(row.trace_id)], ["parent span", code(row.parent_span_id)], ["deadline", when(row.deadline)]);
	facts.push(["process", text(row.pid)], ["start", when(row.start)], ["duration", ns(row.duration_ns)],
		["CPU time", ns(row.cpu_ns)]);
	if (row.children_cpu_ns !== undefined)
		facts.push(["CPU of children", ns(row.children_cpu_ns)]);
	if (row.post_cpu_ns !== undefined)
		facts.push(["CPU after answer", ns(row.post_cpu_ns)]);
	facts.push(["sampled", ns(row.sampled_ns)], ["samples", isNumber(row.samples) ? count(row.samples) : undefined],
		["attribution", tally(row.attribution, "no samples")], ["lost", tally(row.losses, "none")],
		["cut stacks", tally(row.truncated, "none") ?? (row.has ? truncations() : undefined)]);
	const files = [fileLink(row.pprof), fileLink(row.folded), fileLink(row.events)].filter(Boolean);
	if (files.length)
		facts.push(["files", el("span", {className: "files"}, ...files)]);
	return facts;
}

function quantile(sorted, q) {
	return sorted.length ? sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] : undefined;
}

function setFacts(rows) {
	const list = [...rows];
	const durations = list.map((row) => row.duration_ns).filter(isNumber).sort((a, b) => a - b);
	const sum = (key) => list.reduce((all, row) => all + (row[key] || 0), 0);
	return [["rows", count(list.length)], ["median", ns(quantile(durations, 0.5))], ["95 % within", ns(quantile(durations, 0.95))],
		["longest", ns(durations[durations.length - 1])], ["CPU time", ns(sum("cpu_ns"))], ["sampled", ns(sum("sampled_ns"))],
		["samples", count(sum("samples"))], ["not ok", count(list.filter((r) => isOwnText(r.outcome) && r.outcome !== "ok").length)],
		["cold", count(list.filter((r) => r.cold === true).length)]];
}

function recordingFacts() {
	const s = D.head.summary;
	if (!s)
		return [["summary.json", undefined], ["rows", count(D.head.rows)]];
	const cost = s.cost && typeof s.cost === "object" ? s.cost : {};
	return [["start", when(s.start)], ["duration", ns(s.duration_ns)], ["rows", count(D.head.rows)],
		["rate", isNumber(s.rate_hz) ? count(s.rate_hz) + " Hz" : undefined],
		["ticks", isNumber(s.ticks) ? count(s.ticks) : undefined], ["samples", isNumber(s.samples) ? count(s.samples) : undefined],
		["lost", tally(s.losses, "none")], ["missed ticks", isNumber(s.ticks_missed) ? count(s.ticks_missed) : undefined],
		["lost events", isNumber(s.events_lost) ? count(s.events_lost) : undefined], ["cut stacks", tally(s.truncated, "none")],
		["kernel", text(s.kernel)], ["own CPU", ns(cost.agent_cpu_ns)], ["own BPF", ns(cost.bpf_ns)],
		["own memory", isNumber(cost.rss_max_bytes) ? bytes(cost.rss_max_bytes) : undefined]];
}

// The functions with the most time of their own, of what is shown.
function hottest() {
	const own = new Map();
	for (let i = 1; i < D.nodes.n; i++) {
		if (G.self[i] > 0)
			own.set(D.nodes.frame[i], (own.get(D.nodes.frame[i]) || 0) + G.self[i]);
	}
	const whole = G.weight[0] || 1;
	const top = [...own].sort((a, b) => b[1] - a[1]).slice(0, 10);
	if (top.length === 0)
		return null;
	return el("div", {className: "hottest"}, el("h3", {}, "Hottest by self time"), ...top.map(([frame, value]) => {
		const bar = el("i", {});
		bar.style.width = 100 * value / top[0][1] + "%";
		bar.style.background = frameColor(frame);
		const name = D.names[D.frame.name[frame]];
		const line = el("button", {type: "button", title: "search for " + name.slice(0, 300)}, bar,
			el("span", {}, name.slice(0, 200)), el("b", {}, percent(value / whole)));
		line.addEventListener("click", () => {
			S.q = $("search").value = name;
			search(S.q);
			showHit();
			saveState(false);
		});
		return line;
	}));
}

// What a row's own events come to; of a cold invocation what its init did, too.
function storyTables() {
	const {story, initStory} = shown || {};
	const tables = story ? [...(S.row.kind === "init" ? startTables(story) : []), eventTable(story)] : [];
	if (initStory)
		tables.push(...startTables(initStory));
	return tables;
}

function showFacts() {
	const parts = [];
	if (S.scope === "row" && S.row) {
		parts.push(ledgerTable(), ...storyTables(), el("h3", {}, S.row.kind === "invocation" ? "This invocation" : "This row"), factList(rowFacts(S.row)));
	} else if (S.scope === "sets" && S.a.size + S.b.size > 0) {
		const names = S.preset ? PRESETS[S.preset] : {a: "A", b: "B"};
		parts.push(ledgerTable());
		if (S.a.size)
			parts.push(el("h3", {}, el("i", {className: "set a"}), names.a), factList(setFacts(S.a)));
		if (S.b.size)
			parts.push(el("h3", {}, el("i", {className: "set b"}), names.b), factList(setFacts(S.b)));
	} else if (S.scope === "listed") {
		parts.push(ledgerTable(), el("h3", {}, "Listed rows"), factList(setFacts(L.rows)));
	} else {
		parts.push(ledgerTable(), el("h3", {}, "This recording"), factList(recordingFacts()));
	}
	// Of one row its facts are wanted first, of many what was hot in them.
	const top = hottest(), ledger = S.scope === "row" ? [] : [parts.shift()];
	$("facts").replaceChildren(...(S.scope === "row" ? [...parts, top] : [...ledger, top, ...parts]).filter(Boolean));
	$("facts").scrollTop = 0;
}
