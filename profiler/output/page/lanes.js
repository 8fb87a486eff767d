// SPDX-License-Identifier: Apache-2.0
// The timeline on its canvas. As in the graph, what has the pointer and what has the focus are elements,
// too (classes `under` and `now`, the item's number in data-item).
const HEAD = 132, RULER = 20, STATE_H = 7, TICK_H = 13, SPAN_H = 16, LANE_GAP = 9;

const T = {row: null, story: null, lanes: [], tracks: [], extent: [0, 1], from: 0, to: 1, focus: null, hover: null, height: 0, width: 0, pending: 0};
const lanesBox = $("lanes"), lanesCanvas = $("lanes-canvas");
const itemButton = el("button", {type: "button", className: "item now", "data-item": ""});
const itemHover = el("button", {type: "button", className: "item under", "data-item": "", tabIndex: -1, hidden: true});
$("lanes-overlay").append(itemButton, itemHover);

// Tracks from above, each of one kind, with its items in the order of time.
function layTracks() {
	let y = RULER + 4;
	T.tracks = [];
	const add = (lane, kind, items, height) => {
		if (items.length > 0)
			T.tracks.push({lane, kind, items, y, h: height, longest: items.reduce((most, item) => Math.max(most, item.duration || 0), 0)});
		y += items.length > 0 ? height + 2 : 0;
	};
	for (const lane of T.lanes) {
		lane.y = y;
		add(lane, "state", lane.states, STATE_H);
		add(lane, "sample", lane.samples, TICK_H);
		for (let row = 0; row < lane.rows; row++)
			add(lane, "span", lane.spans.filter((event) => event.row === row), SPAN_H);
		y = Math.max(y, lane.y + 16) + LANE_GAP;
	}
	T.height = y;
	T.tracks.forEach((track, i) => track.items.forEach((item) => item.track = i));
}

const xOf = (t) => HEAD + (t - T.from) / (T.to - T.from) * (T.width - HEAD - 8);

function placeOfItem(item) {
	const track = T.tracks[item.track];
	const left = Math.max(HEAD, xOf(item.t)), right = Math.min(T.width, xOf(item.t + (item.duration || 0)));
	return track.kind === "sample" ? {x: left - 1.5, y: track.y, w: 3, h: track.h} : {x: left, y: track.y, w: Math.max(2, right - left), h: track.h};
}

const inMark = (item) => !S.mark || T.story.events.some((mark) => isMark(mark) && mark.name === S.mark &&
	mark.t < item.t + Math.max(1, item.duration || 1) && item.t < mark.t + Math.max(1, mark.duration));

function drawItem(p, track, item) {
	const {x, y, w, h} = placeOfItem(item);
	p.globalAlpha = inMark(item) ? 1 : 0.18;
	if (track.kind === "sample") {
		p.fillStyle = frameColor(D.nodes.frame[item.node]);
		p.fillRect(x, y, 3, h);
		return;
	}
	const state = track.kind === "state";
	const [label, color, ink] = state ? ledgerLook(item.what === "on_cpu" ? "on_cpu" : item.name || "other") : spanLook(item.what);
	p.fillStyle = color;
	if (!state && item.duration === 0) {
		p.beginPath();
		p.moveTo(x, y + h / 2);
		p.lineTo(x + 4, y + 2);
		p.lineTo(x + 8, y + h / 2);
		p.lineTo(x + 4, y + h - 2);
		p.fill();
		return;
	}
	p.fillRect(x, y, w > 3 ? w - 0.5 : w, h);
	if (state || w < 28)
		return;
	const text = item.name ? (["mark", "phase"].includes(item.what) ? item.name : `${label} ${item.name}`) : item.cause ? `${label}: ${item.cause}` : label;
	const n = Math.min(200, Math.floor((w - 6) / 6.2));
	p.fillStyle = ink;
	p.fillText(text.length > n ? text.slice(0, Math.max(1, n - 1)) + "\u2026" : text, x + 4, y + h / 2 + 0.5);
}

function drawRuler(p, style) {
	p.fillStyle = style.soft;
	p.strokeStyle = style.line;
	p.lineWidth = 1;
	for (const t of rulerSteps(T.from, T.to, xOf(T.to) - xOf(T.from))) {
		const x = Math.round(xOf(t)) + 0.5;
		p.beginPath();
		p.moveTo(x, RULER - 3);
		p.lineTo(x, T.height);
		p.stroke();
		if (x < T.width - 52)
			p.fillText((t < 0 ? "\u2212" : "") + duration(Math.abs(t)), x + 3, 9);
	}
	// Where the row begins and ends.
	p.fillStyle = style.ink;
	for (const t of [0, T.row.duration_ns || 0]) {
		if (t >= T.from && t <= T.to)
			p.fillRect(Math.round(xOf(t)), 0, 1.5, T.height);
	}
}

function drawLanes() {
	T.pending = 0;
	if (!T.story || $("timeline").hidden)
		return;
	const ratio = window.devicePixelRatio || 1, css = getComputedStyle(document.documentElement);
	const style = {soft: css.getPropertyValue("--soft"), line: css.getPropertyValue("--line"), ink: css.getPropertyValue("--ink")};
	lanesCanvas.width = Math.round(T.width * ratio);
	lanesCanvas.height = Math.round(T.height * ratio);
	lanesCanvas.style.width = T.width + "px";
	lanesCanvas.style.height = T.height + "px";
	const p = lanesCanvas.getContext("2d");
	p.setTransform(ratio, 0, 0, ratio, 0, 0);
	p.font = `11.5px ${getComputedStyle(document.body).fontFamily}`;
	p.textBaseline = "middle";
	drawRuler(p, style);
	for (const lane of T.lanes) {
		p.fillStyle = style.ink;
		const name = lane.name || "thread";
		p.fillText(name.length > 15 ? name.slice(0, 14) + "\u2026" : name, 0, lane.y + 7);
		if (lane.tid) {
			const at = p.measureText(name.length > 15 ? name.slice(0, 14) + "\u2026" : name).width;
			p.fillStyle = style.soft;
			p.fillText(" " + lane.tid, at, lane.y + 7);
		}
	}
	p.save();
	p.beginPath();
	p.rect(HEAD, 0, T.width - HEAD, T.height);
	p.clip();
	for (const track of T.tracks) {
		for (const item of track.items) {
			if (item.t <= T.to && item.t + (item.duration || 0) >= T.from)
				drawItem(p, track, item);
		}
	}
	p.restore();
}

function redrawLanes() {
	if (!T.pending)
		T.pending = requestAnimationFrame(drawLanes);
}

function placeItemButton(button, item) {
	button.hidden = !item || item.t > T.to || item.t + (item.duration || 0) < T.from;
	if (button.hidden)
		return;
	const place = placeOfItem(item);
	Object.assign(button.style, {left: place.x + "px", top: place.y + "px", width: Math.max(4, place.w) + "px", height: place.h + "px"});
	const lane = T.tracks[item.track].lane;
	button.dataset.item = item.key;
	button.setAttribute("aria-label", `${describeItem(item)}, ${lane.tid ? ["thread", lane.name, lane.tid].filter(Boolean).join(" ") : lane.name}`);
}

function layLanes() {
	T.width = lanesBox.clientWidth;
	$("lanes-space").style.height = T.height + "px";
	placeItemButton(itemButton, T.focus);
	placeItemButton(itemHover, T.hover);
	redrawLanes();
}

function itemAt(clientX, clientY) {
	const box = lanesBox.getBoundingClientRect();
	const x = clientX - box.left, y = clientY - box.top + lanesBox.scrollTop;
	const track = T.tracks.find((one) => y >= one.y && y < one.y + one.h + 2);
	let best = null, distance = 5;
	for (const item of track ? track.items : []) {
		const place = placeOfItem(item);
		const off = x < place.x ? place.x - x : x > place.x + place.w ? x - place.x - place.w : 0;
		if (off < distance) {
			best = item;
			distance = off;
		}
	}
	return best;
}

// ---- what is chosen ---------------------------------------------------------------------------------------

function itemTip(item, x, y) {
	const rows = item.node !== undefined ? [["sample", `at ${duration(item.t)}`]]
		: [["took", item.duration > 0 ? duration(item.duration) : "no time of its own"], ["began", `at ${item.t < 0 ? "\u2212" : ""}${duration(Math.abs(item.t))}`],
			item.cause ? [item.what === "off_cpu" ? "waited for" : "cause", item.cause] : null, ["known by", item.how || "unknown"]].filter(Boolean);
	const title = item.node !== undefined ? frameName(item.node) : describeItem(item).split(", ").slice(0, (item.what === "off_cpu" ? item.cause : item.name) ? 2 : 1).join(" ");
	const tip = $("tip");
	tip.replaceChildren(el("div", {className: "name"}, title.slice(0, 600)), el("dl", {}, ...rows.flatMap(([k, v]) => [el("dt", {}, k), el("dd", {}, v)])));
	placeTip(x, y);
}

// The stack of a sample from its leaf, or what is known of an event.
function showMoment() {
	const item = T.focus && S.at === T.focus.key ? T.focus : null;
	const box = $("moment");
	box.hidden = !item;
	if (!item)
		return;
	if (item.node === undefined) {
		const facts = [["what", spanLook(item.what)[0]], ["name", item.name || undefined], ["cause", item.cause || undefined],
			["took", item.duration > 0 ? duration(item.duration) : "no time of its own"], ["began", duration(Math.abs(item.t)) + (item.t < 0 ? " before its row" : " after its row's begin")],
			["thread", String(item.tid)], ["known by", item.how || undefined]];
		box.replaceChildren(el("h3", {}, "Event"), factList(facts));
		return;
	}
	const frames = [];
	for (let node = item.node; node !== 0; node = D.nodes.parent[node])
		frames.push(node);
	const open = el("button", {type: "button", className: "small"}, "Show in the graph");
	open.addEventListener("click", () => {
		S.view = "flame";
		S.zoom = item.node;
		showGraph();
		saveState(true);
	});
	box.replaceChildren(el("h3", {}, `Stack at ${duration(item.t)}`), open, el("ol", {}, ...frames.slice(0, 400).map((node) => {
		const dot = el("i", {className: "dot " + KINDS[D.frame.kind[D.nodes.frame[node]]]});
		dot.style.background = frameColor(D.nodes.frame[node]);
		return el("li", {title: whereOf(D.nodes.frame[node]).join("\n"), "data-name": frameName(node)}, dot, frameName(node).slice(0, 300));
	})));
	box.scrollTop = 0;
}

function focusItem(item, byHand) {
	if (!item)
		return;
	T.focus = item;
	placeItemButton(itemButton, item);
	const place = placeOfItem(item);
	if (place.y < lanesBox.scrollTop + RULER || place.y + place.h > lanesBox.scrollTop + lanesBox.clientHeight)
		lanesBox.scrollTop = place.y - RULER - 20;
	if (byHand) {
		itemButton.focus({preventScroll: true});
		const box = itemButton.getBoundingClientRect();
		itemTip(item, box.left, box.bottom);
	}
}

function chooseItem(item) {
	if (!item)
		return;
	focusItem(item, false);
	S.at = item.key;
	showMoment();
	saveState(false);
}

function setRange(from, to) {
	const least = (T.extent[1] - T.extent[0]) / 1e5;
	const width = Math.min(T.extent[1] - T.extent[0], Math.max(least, to - from));
	T.from = Math.min(Math.max(T.extent[0], from), T.extent[1] - width);
	T.to = T.from + width;
	S.time = width < (T.extent[1] - T.extent[0]) * 0.9999 ? `${Math.round(T.from)}_${Math.round(T.to)}` : "";
	$("time-all").disabled = !S.time;
	hideTip();
	T.hover = null;
	layLanes();
}

function zoomTime(factor, around = (T.from + T.to) / 2) {
	setRange(around - (around - T.from) * factor, around + (T.to - around) * factor);
	saveState(false);
}

function neighbourItem(way) {
	const item = T.focus;
	const track = item && T.tracks[item.track];
	if (!track)
		return T.tracks[0] && T.tracks[0].items[0];
	if (way === "left" || way === "right") {
		const sorted = track.items;
		return sorted[sorted.indexOf(item) + (way === "right" ? 1 : -1)];
	}
	const next = T.tracks[item.track + (way === "down" ? 1 : -1)];
	return next && next.items.reduce((best, one) => Math.abs(one.t - item.t) < Math.abs(best.t - item.t) ? one : best);
}

function laneKeys(event) {
	const ways = {ArrowUp: "up", ArrowDown: "down", ArrowLeft: "left", ArrowRight: "right"};
	if (event.ctrlKey || event.metaKey || event.altKey)
		return;
	if (Object.hasOwn(ways, event.key))
		focusItem(neighbourItem(ways[event.key]), true);
	else if (event.key === "Enter" || event.key === " ")
		chooseItem(T.focus);
	else if (event.key === "+" || event.key === "-")
		zoomTime(event.key === "+" ? 0.5 : 2, T.focus ? T.focus.t : undefined);
	else if (event.key === "Escape" && S.time)
		setRange(...T.extent), saveState(false);
	else
		return;
	event.preventDefault();
	event.stopPropagation();
}

// ---- the whole --------------------------------------------------------------------------------------------

function fillMarks() {
	const marks = marksOf(T.story);
	if (S.mark && !marks.has(S.mark))
		S.mark = "";
	$("mark").hidden = marks.size === 0;
	fillSelect($("mark"), "all marks", [...marks.keys()].slice(0, 500));
	$("mark").value = S.mark;
}

function timelineNotes() {
	const notes = [];
	const without = (S.row.samples || 0) - T.story.samples.length;
	if (without > 0)
		notes.push(T.story.samples.length ? `${many(without, "sample")} of this row have no time, and no tick here.` : "The times of its samples are not in this recording.");
	if (!T.lanes.some((lane) => lane.states.length))
		notes.push("When its threads were off CPU is not in this recording.");
	if (!S.row.events)
		notes.push("No events were told.");
	return notes.join(" ");
}

const EMPTY_STORY = {threads: new Map(), samples: [], kinds: [], events: [], unreadable: 0};

function showTimeline(row, story) {
	const shownNow = S.view === "timeline" && S.scope === "row" && row !== null;
	$("timeline").hidden = !shownNow;
	if (!shownNow)
		return;
	T.row = row;
	T.story = story || EMPTY_STORY;
	T.lanes = lanesOf(T.story);
	T.extent = extentOf(row, T.story);
	layTracks();
	const range = /^(-?\d+)_(-?\d+)$/.exec(S.time);
	fillMarks();
	T.focus = T.tracks.flatMap((track) => track.items).find((item) => item.key === S.at) || null;
	if (!T.focus) {
		S.at = "";
		T.focus = T.tracks.length ? T.tracks[0].items[0] : null;
	}
	$("timeline-note").textContent = !story && row.storyChunk !== NO_SAMPLES
		? "The page has no room for the timeline of this row: it has those of the slowest rows and of an even choice of the rest."
		: timelineNotes();
	setRange(...(range && Number(range[2]) > Number(range[1]) ? [Number(range[1]), Number(range[2])] : T.extent));
	lanesBox.hidden = T.tracks.length === 0;
	showMoment();
}

function listenToLanes() {
	lanesBox.addEventListener("pointermove", (event) => {
		const item = event.pointerType === "touch" ? null : itemAt(event.clientX, event.clientY);
		if (item !== T.hover) {
			T.hover = item;
			placeItemButton(itemHover, item);
		}
		if (item)
			itemTip(item, event.clientX, event.clientY);
		else
			hideTip();
	});
	lanesBox.addEventListener("pointerleave", () => {
		T.hover = null;
		itemHover.hidden = true;
		hideTip();
	});
	lanesBox.addEventListener("click", (event) => {
		const button = event.target.closest("[data-item]");
		const item = itemAt(event.clientX, event.clientY) || (button && T.tracks.flatMap((track) => track.items).find((one) => one.key === button.dataset.item));
		chooseItem(item);
		if (item)
			itemButton.focus({preventScroll: true});
	});
	lanesBox.addEventListener("wheel", (event) => {
		if (!event.ctrlKey)
			return;
		const x = event.clientX - lanesBox.getBoundingClientRect().left;
		zoomTime(event.deltaY > 0 ? 1.25 : 0.8, T.from + Math.max(0, x - HEAD) / (T.width - HEAD - 8) * (T.to - T.from));
		event.preventDefault();
	}, {passive: false});
	lanesBox.addEventListener("keydown", laneKeys);
	itemButton.addEventListener("blur", hideTip);
	$("time-in").addEventListener("click", () => zoomTime(0.5, S.at && T.focus ? T.focus.t : undefined));
	$("time-out").addEventListener("click", () => zoomTime(2));
	$("time-all").addEventListener("click", () => {
		setRange(...T.extent);
		saveState(false);
	});
	$("mark").addEventListener("change", () => {
		S.mark = $("mark").value;
		showGraph();
		saveState(false);
	});
	new ResizeObserver(() => {
		if (!$("timeline").hidden)
			layLanes();
	}).observe(lanesBox);
}
