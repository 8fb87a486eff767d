// SPDX-License-Identifier: Apache-2.0
/*
 * The graph on its canvas. A level's frames stand sorted by place, so drawing begins at the first visible one by
 * halving and leaps over all that would share half a pixel: the work is bounded by the canvas, not by the profile.
 * The frames under the pointer and in focus are also elements, for those who do not see a canvas, and for tests.
 */
const ROW = 20, FONT = 12, MIN_PX = 0.5;

const G = {
	levels: [], weight: null, counts: null, other: null, otherCounts: null, // by node; other: set B
	self: null, scale: 1, otherScale: 1, names: null,
	from: 0, to: 1,      // the range of x that is shown
	zoom: 0, focus: 0, hover: -1,
	matched: null,       // by frame, or null
	animation: 0, width: 0, height: 0, content: 0, pending: 0,
};
let paint = null, nameWidths = null;

const stage = $("stage"), canvas = $("canvas"), overlay = $("overlay");
const focusButton = el("button", {type: "button", className: "frame focus", "data-frame": ""});
const hoverButton = el("button", {type: "button", className: "frame hover", "data-frame": "", tabIndex: -1, hidden: true});
overlay.append(focusButton, hoverButton);

function frameName(node) {
	return node === 0 ? "everything" : D.names[D.frame.name[D.nodes.frame[node]]];
}

function yOf(depth) {
	return S.view === "icicle" ? depth * ROW : G.content - (depth + 1) * ROW;
}

// -1 to 1: how much more of A's than of B's time this node has.
function difference(node) {
	const a = G.weight[node] * G.scale, b = G.other[node] * G.otherScale;
	return a + b > 0 ? (a - b) / Math.max(a, b) : 0;
}

function colorOf(node) {
	const frame = D.nodes.frame[node];
	if (G.matched && !G.matched[frame])
		return theme.faded;
	if (G.other && node !== 0)
		return differenceColor(difference(node));
	return frameColor(frame);
}

// The name, cut to the width; widths are measured once a name.
function fitText(text, name, room) {
	let width = nameWidths[name];
	if (!width)
		width = nameWidths[name] = paint.measureText(text.length > 200 ? text.slice(0, 200) : text).width;
	if (width <= room)
		return text.length > 200 ? text.slice(0, 200) : text;
	let n = Math.floor(Math.min(text.length, 200) * (room - 10) / width);
	// Letters differ in width, so the guess may be some too many.
	while (n > 2 && paint.measureText(text.slice(0, n)).width > room - 10)
		n--;
	return n > 2 ? text.slice(0, n) + "\u2026" : "";
}

function drawLabel(node, frame, x, y, room) {
	const name = node === 0 ? 0 : D.frame.name[frame];
	const text = fitText(frameName(node), name, room - 8);
	if (!text)
		return;
	const dim = G.matched && !G.matched[frame];
	const onDark = theme.name === "dark" && (node === 0 || (G.other && Math.abs(difference(node)) < 0.35));
	paint.fillStyle = dim ? theme.fadedInk : onDark ? "#eceef2" : INK[theme.name];
	const italic = D.frame.inlined[frame] === 1;
	if (italic)
		paint.font = G.italic;
	paint.fillText(text, x + 4, y + ROW / 2 + 0.5);
	if (italic)
		paint.font = G.font;
}

// A line below the name: solid for code of a JIT, dotted for interpreted code, dashes for awaiting frames.
function drawTier(tier, x, y, width) {
	paint.fillStyle = "rgba(10,12,20,.42)";
	if (tier === TIER_JIT) {
		paint.fillRect(x, y + ROW - 3, width, 1.5);
		return;
	}
	const step = tier === TIER_AWAITING ? 10 : 4, on = tier === TIER_AWAITING ? 6 : 1.5;
	for (let at = x; at < x + width - on && at < G.width; at += step)
		paint.fillRect(at, y + ROW - 3, on, 1.5);
}

// Markers are no code: stripes tell them from it.
function drawStripes(x, y, width) {
	paint.save();
	paint.beginPath();
	paint.rect(x, y, width, ROW - 1);
	paint.clip();
	paint.strokeStyle = "rgba(10,12,20,.18)";
	paint.lineWidth = 2;
	paint.beginPath();
	for (let at = Math.max(x, 0) - ROW; at < Math.min(x + width, G.width); at += 7) {
		paint.moveTo(at, y + ROW);
		paint.lineTo(at + ROW, y);
	}
	paint.stroke();
	paint.restore();
}

// Frames too narrow to be told apart are drawn as one run while their colour stays.
const run = {color: "", left: 0, right: 0, y: 0};

function flushRun() {
	if (!run.color)
		return;
	paint.fillStyle = run.color;
	paint.fillRect(run.left, run.y, run.right - run.left, ROW - 1);
	run.color = "";
}

function drawNarrow(node, left, right, y) {
	const plain = G.other || G.matched;
	const color = plain ? colorOf(node) : kindColor(D.nodes.frame[node]);
	if (run.color === color && left <= run.right + 0.25) {
		run.right = right;
		return;
	}
	flushRun();
	run.color = color;
	run.left = left;
	run.right = right;
	run.y = y;
}

function drawFrame(node, left, width, y) {
	paint.fillStyle = colorOf(node);
	paint.fillRect(left, y, width > 3 ? width - 1 : width, ROW - 1);
	if (width <= 14)
		return;
	const frame = D.nodes.frame[node];
	if (KINDS[D.frame.kind[frame]] === "marker" && node !== 0)
		drawStripes(left, y, width - 1);
	if (width <= 26)
		return;
	if (D.frame.tier[frame])
		drawTier(D.frame.tier[frame], left + 4, y, width - 9);
	drawLabel(node, frame, left, y, width);
}

function drawLevel(level, y) {
	const {ids, x: xs, w: ws} = level;
	const scale = G.width / (G.to - G.from), pixel = MIN_PX / scale;
	for (let i = firstAfter(level, G.from); i < ids.length && xs[i] < G.to;) {
		const left = Math.max(0, (xs[i] - G.from) * scale);
		const width = Math.min(G.width, (xs[i] + ws[i] - G.from) * scale) - left;
		if (width < 1.5)
			drawNarrow(ids[i], left, left + Math.max(width, MIN_PX), y);
		else
			drawFrame(ids[i], left, width, y);
		i = width < MIN_PX ? firstAfter(level, Math.max(xs[i], G.from) + pixel, i + 1) : i + 1;
	}
	flushRun();
}

function draw() {
	const begin = performance.now();
	G.pending = 0;
	const ratio = window.devicePixelRatio || 1;
	const w = Math.round(G.width * ratio), h = Math.round(G.height * ratio);
	if (canvas.width !== w || canvas.height !== h) {
		canvas.width = w;
		canvas.height = h;
		canvas.style.width = G.width + "px";
		canvas.style.height = G.height + "px";
		canvas.style.marginBottom = -G.height + "px";
	}
	paint = canvas.getContext("2d", {alpha: true});
	paint.setTransform(ratio, 0, 0, ratio, 0, 0);
	paint.clearRect(0, 0, G.width, G.height);
	paint.font = G.font;
	paint.textBaseline = "middle";
	nameWidths ??= new Float32Array(D.names.length);
	const top = stage.scrollTop;
	for (let depth = 0; depth < G.levels.length; depth++) {
		const y = yOf(depth) - top;
		if (y + ROW > 0 && y < G.height)
			drawLevel(G.levels[depth], y);
	}
	canvas.dataset.drawMs = (performance.now() - begin).toFixed(2);
}

function redraw() {
	if (!G.pending)
		G.pending = requestAnimationFrame(draw);
}

function measureStage() {
	const family = getComputedStyle(document.body).fontFamily;
	G.font = `${FONT}px ${family}`;
	G.italic = `italic ${FONT}px ${family}`;
	const before = stage.scrollHeight - stage.scrollTop;
	G.height = stage.clientHeight;
	G.content = Math.max(G.levels.length * ROW, G.height);
	$("stage-space").style.height = G.content + "px";
	G.width = stage.clientWidth;
	return before;
}

// After a change of size, weights or direction.
function layStage(keep) {
	const fromBottom = measureStage();
	if (!keep)
		stage.scrollTop = S.view === "icicle" ? 0 : G.content;
	else if (S.view === "flame")
		stage.scrollTop = G.content - fromBottom;
	placeButtons();
	redraw();
}

// ---- what is shown -----------------------------------------------------------------------------------------

function showSums(shown) {
	const type = S.value, old = frameName(G.zoom);
	G.self = shown.a.self[type];
	G.weight = totals(G.self);
	G.counts = totals(shown.a.self[0]);
	G.other = shown.b ? totals(shown.b.self[type]) : null;
	G.otherCounts = shown.b ? totals(shown.b.self[0]) : null;
	G.names = shown.names || null;
	G.rowsA = Math.max(1, shown.a.rows - shown.a.missing);
	G.rowsB = shown.b ? Math.max(1, shown.b.rows - shown.b.missing) : 1;
	setBasis();
	G.levels = layOut(G.weight);
	G.hover = -1;
	const timeline = S.view === "timeline" && S.scope === "row";
	$("empty").hidden = timeline || G.levels.length > 0;
	stage.hidden = timeline || G.levels.length === 0;
	G.from = 0;
	G.to = G.weight[0] || 1;
	G.zoom = 0;
	G.focus = 0;
	search(S.q);
	if (S.zoom)
		zoomTo(S.zoom, true);
	else
		layStage(false);
	return old;
}

function setBasis() {
	const share = S.basis === "share";
	G.scale = 1 / (share ? G.weight[0] || 1 : G.rowsA);
	G.otherScale = G.other ? 1 / (share ? G.other[0] || 1 : G.rowsB) : 1;
}

function zoomTo(node, atOnce) {
	const place = placeOf(G.levels, node) || placeOf(G.levels, 0);
	if (!place)
		return;
	G.zoom = place.node;
	S.zoom = G.zoom;
	G.focus = place.node;
	$("reset").disabled = G.zoom === 0;
	hideHover();
	showMatched();
	cancelAnimationFrame(G.animation);
	const still = atOnce || matchMedia("(prefers-reduced-motion: reduce)").matches;
	const from = G.from, to = G.to, begin = performance.now();
	const step = (now) => {
		const t = still ? 1 : Math.min(1, Math.max(0, (now - begin) / 170)), ease = 1 - (1 - t) ** 3;
		G.from = t === 1 ? place.x : from + (place.x - from) * ease;
		G.to = t === 1 ? place.x + place.w : to + (place.x + place.w - to) * ease;
		if (t < 1) {
			G.animation = requestAnimationFrame(step);
			redraw();
			return;
		}
		layStage(true);
		scrollToFocus();
	};
	step(begin);
}

// ---- search ------------------------------------------------------------------------------------------------

function search(text) {
	const wanted = text.trim().toLowerCase();
	G.matched = null;
	if (wanted) {
		const hits = D.names.map((name) => name.toLowerCase().includes(wanted));
		G.matched = Uint8Array.from(D.frame.name, (name, i) => i > 0 && (hits[name] || hits[D.frame.file[i]]) ? 1 : 0);
	}
	showMatched();
	redraw();
}

// Where no hit is in view, the widest one comes into it: a share alone does not say where to look.
function showHit() {
	const top = stage.scrollTop, bottom = top + G.height, twoPixels = 2 * (G.to - G.from) / G.width;
	let widest = 0, found = -1;
	for (let depth = 0; G.matched && depth < G.levels.length; depth++) {
		const {ids, x, w} = G.levels[depth], y = yOf(depth), inView = y + ROW > top && y < bottom;
		for (let i = firstAfter(G.levels[depth], G.from); i < ids.length && x[i] < G.to; i++) {
			if (!G.matched[D.nodes.frame[ids[i]]])
				continue;
			if (inView && w[i] >= twoPixels)
				return;
			if (w[i] > widest)
				[widest, found] = [w[i], y];
		}
	}
	if (found >= 0)
		stage.scrollTop = found - (G.height - ROW) / 2;
}

// Matching frames count once, also when they stand on each other.
function matchedSum(weight) {
	const {n, parent, frame} = D.nodes;
	const inside = new Uint8Array(n); // 1: below the zoomed frame, 2: and below a match
	let sum = 0;
	for (let i = 0; i < n; i++) {
		const above = i === 0 ? 0 : inside[parent[i]];
		inside[i] = i === G.zoom ? 1 : above;
		if (inside[i] === 1 && G.matched[frame[i]]) {
			sum += weight[i];
			inside[i] = 2;
		}
	}
	return weight[G.zoom] > 0 ? sum / weight[G.zoom] : 0;
}

function showMatched() {
	let text = "";
	if (G.matched && G.weight) {
		text = percent(matchedSum(G.weight));
		if (G.other)
			text += " / " + percent(matchedSum(G.other));
	}
	$("matched").textContent = text;
	$("matched").title = text ? "matched share of " + (G.zoom ? "the zoomed frame" : "what is shown") : "";
}

// ---- the frames that are elements --------------------------------------------------------------------------

function describe(node) {
	const frame = D.nodes.frame[node];
	const parts = [frameName(node)];
	if (node !== 0) {
		parts.push(KIND_NAMES[D.frame.kind[frame]] || "?");
		if (D.frame.inlined[frame])
			parts.push("inlined");
		if (D.frame.tier[frame])
			parts.push(TIERS[D.frame.tier[frame]]);
	}
	parts.push(percent(G.weight[node] / G.weight[0]), amount(G.weight[node], S.value), many(G.counts[node], "sample"));
	return parts.join(", ");
}

function placeButton(button, node) {
	const place = node >= 0 && G.levels.length > 0 ? placeOf(G.levels, node) : null;
	const scale = G.width / (G.to - G.from);
	const left = place ? Math.max(0, (place.x - G.from) * scale) : 0;
	const right = place ? Math.min(G.width, (place.x + place.w - G.from) * scale) : 0;
	button.hidden = !place || left > G.width || right < 0;
	if (button.hidden)
		return;
	button.style.left = left + "px";
	button.style.top = yOf(place.depth) + "px";
	button.style.width = Math.max(3, right - left - 1) + "px";
	button.style.height = ROW - 1 + "px";
	button.dataset.frame = frameName(node);
	button.dataset.node = node;
	button.setAttribute("aria-label", describe(node));
}

function placeButtons() {
	placeButton(focusButton, G.focus);
	placeButton(hoverButton, G.hover);
}

function hideHover() {
	G.hover = -1;
	hoverButton.hidden = true;
	hideTip();
}

// The node at a point of the window, or -1.
function nodeAt(clientX, clientY) {
	const box = stage.getBoundingClientRect();
	const y = clientY - box.top + stage.scrollTop, x = clientX - box.left;
	const depth = Math.floor(S.view === "icicle" ? y / ROW : (G.content - y) / ROW);
	const level = G.levels[depth];
	if (!level || x < 0 || x > G.width)
		return -1;
	const at = G.from + x * (G.to - G.from) / G.width;
	const i = firstAfter(level, at);
	return i < level.ids.length && level.x[i] <= at ? level.ids[i] : -1;
}

function scrollToFocus() {
	const y = yOf(D.nodes.depth[G.focus]);
	if (y < stage.scrollTop)
		stage.scrollTop = y;
	else if (y + ROW > stage.scrollTop + G.height)
		stage.scrollTop = y + ROW - G.height;
}

function moveFocus(node) {
	if (node < 0)
		return;
	G.focus = node;
	hideHover();
	scrollToFocus();
	placeButton(focusButton, node);
	focusButton.focus({preventScroll: true});
	const box = focusButton.getBoundingClientRect();
	showTip(node, Math.max(box.left, 0) + Math.min(box.width / 2, 120), box.bottom);
}

// The widest child, the parent, or the neighbour on the same level.
function neighbour(node, way) {
	const place = placeOf(G.levels, node);
	if (!place)
		return 0;
	if (way === "parent")
		return node === 0 ? -1 : D.nodes.parent[node];
	const level = G.levels[place.depth + (way === "child" ? 1 : 0)];
	if (way === "child") {
		const i = level ? firstAfter(level, place.x) : -1;
		return level && i < level.ids.length && D.nodes.parent[level.ids[i]] === node ? level.ids[i] : -1;
	}
	const i = place.i + (way === "left" ? -1 : 1);
	const inRange = i >= 0 && i < level.ids.length && level.x[i] < G.to && level.x[i] + level.w[i] > G.from;
	return inRange ? level.ids[i] : -1;
}

// ---- the tooltip -------------------------------------------------------------------------------------------

function whereOf(frame) {
	const file = D.names[D.frame.file[frame]], object = D.names[D.frame.object[frame]];
	const start = D.frame.start[frame], from = D.frame.from[frame], to = D.frame.to[frame];
	const lines = [];
	if (file)
		lines.push(file + (start || from ? ":" + (start || from) : ""));
	if (file && from && (from !== to || (start && from !== start)))
		lines.push(from === to ? `seen at line ${from}` : `seen at lines ${from} to ${to}`);
	if (object && object !== file)
		lines.push("in " + object);
	if (lines.length === 0)
		lines.push("file not known");
	return lines;
}

function tipRows(node) {
	const rows = [];
	const line = (weight, counts, whole) =>
		`${percent(weight[node] / whole)}  \u00b7  ${amount(weight[node], S.value)}  \u00b7  ${many(counts[node], "sample")}`;
	if (!G.other) {
		rows.push(["total", line(G.weight, G.counts, G.weight[0] || 1)]);
		rows.push(["self", `${percent(G.self[node] / G.weight[0])}  \u00b7  ${amount(G.self[node], S.value)}`]);
		if (G.zoom)
			rows.push(["of zoomed", percent(G.weight[node] / G.weight[G.zoom])]);
		return rows;
	}
	rows.push(["A " + G.names.a, line(G.weight, G.counts, G.weight[0] || 1)]);
	rows.push(["B " + G.names.b, line(G.other, G.otherCounts, G.other[0] || 1)]);
	const a = G.weight[node] / G.rowsA, b = G.other[node] / G.rowsB;
	rows.push(["a row", `${amount(a, S.value)} against ${amount(b, S.value)}` +
		(b > 0 ? ` (${a >= b ? "+" : "\u2212"}${percent(Math.abs(a - b) / b)})` : ", only in A")]);
	return rows;
}

function showTip(node, x, y) {
	const tip = $("tip"), frame = D.nodes.frame[node];
	const tags = [];
	if (node !== 0) {
		const kind = D.frame.kind[frame];
		const dot = el("i", {className: "dot"});
		dot.style.background = frameColor(frame);
		tags.push(el("span", {className: "tag"}, dot, KIND_NAMES[kind] || "?"));
		if (D.frame.inlined[frame])
			tags.push(el("span", {className: "tag"}, "inlined"));
		if (D.frame.tier[frame])
			tags.push(el("span", {className: "tag"}, TIERS[D.frame.tier[frame]] || "?"));
	}
	const name = frameName(node);
	tip.replaceChildren(
		el("div", {className: "name"}, name.length > 600 ? name.slice(0, 600) + "\u2026" : name),
		...(node === 0 ? [] : whereOf(frame).map((text) => el("div", {className: "where"}, text))),
		...(tags.length ? [el("div", {className: "tags"}, ...tags)] : []),
		el("dl", {}, ...tipRows(node).flatMap(([key, value]) => [el("dt", {}, key), el("dd", {}, value)])));
	placeTip(x, y);
}

function placeTip(x, y) {
	const tip = $("tip");
	tip.hidden = false;
	const box = tip.getBoundingClientRect();
	const left = Math.min(x + 14, innerWidth - box.width - 10);
	const below = y + 16 + box.height < innerHeight;
	tip.style.left = Math.max(8, left) + "px";
	tip.style.top = Math.max(8, below ? y + 16 : y - box.height - 14) + "px";
}

function hideTip() {
	$("tip").hidden = true;
}

// ---- hands -------------------------------------------------------------------------------------------------

function graphKeys(event) {
	const up = S.view === "flame" ? "child" : "parent", down = S.view === "flame" ? "parent" : "child";
	const ways = {ArrowUp: up, ArrowDown: down, ArrowLeft: "left", ArrowRight: "right"};
	if (event.ctrlKey || event.metaKey || event.altKey)
		return;
	if (Object.hasOwn(ways, event.key))
		moveFocus(neighbour(G.focus, ways[event.key]));
	else if (event.key === "Home")
		moveFocus(0);
	else if (event.key === "Enter" || event.key === " ")
		zoomByHand(G.focus);
	else
		return;
	event.preventDefault();
}

function zoomByHand(node) {
	zoomTo(node, false);
	saveState(true);
}

function listenToGraph() {
	stage.addEventListener("pointermove", (event) => {
		const node = event.pointerType === "touch" ? -1 : nodeAt(event.clientX, event.clientY);
		if (node < 0) {
			hideHover();
			return;
		}
		if (node !== G.hover) {
			G.hover = node;
			placeButton(hoverButton, node);
		}
		showTip(node, event.clientX, event.clientY);
	});
	stage.addEventListener("pointerleave", hideHover);
	stage.addEventListener("scroll", () => {
		hideHover();
		redraw();
	});
	stage.addEventListener("click", (event) => {
		const button = event.target.closest("[data-frame]");
		const node = button ? Number(button.dataset.node) : nodeAt(event.clientX, event.clientY);
		if (node >= 0) {
			zoomByHand(node);
			focusButton.focus({preventScroll: true});
		}
	});
	stage.addEventListener("keydown", graphKeys);
	focusButton.addEventListener("blur", hideTip);
	new ResizeObserver(() => {
		if (G.weight && !stage.hidden)
			layStage(true);
	}).observe(stage);
}
