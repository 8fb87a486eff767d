// SPDX-License-Identifier: Apache-2.0
// Numbers and names for people. Names come from whoever was recorded: they are only ever set as text.

const $ = (id) => document.getElementById(id);

// An element with properties and children; strings become text.
function el(tag, props, ...children) {
	const e = document.createElement(tag);
	for (const [key, value] of Object.entries(props || {})) {
		if (key.includes("-") || key === "role")
			e.setAttribute(key, value);
		else
			e[key] = value;
	}
	e.append(...children.filter((c) => c !== null && c !== undefined));
	return e;
}

// Characters that turn the direction of text, or break its line, would let one name pose as another.
function clean(text) {
	return String(text).replace(/[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069]/g, "\ufffd");
}

const figures = (n, digits) => n.toLocaleString("en-US", {minimumFractionDigits: digits, maximumFractionDigits: digits});

// Three figures: 12.3, 1.20, 850.
const three = (n) => figures(n, n >= 99.95 ? 0 : n >= 9.995 ? 1 : 2);

function duration(ns) {
	if (!(ns > 0))
		return "0";
	if (ns < 1e3)
		return Math.round(ns) + " ns";
	if (ns < 999.5e3)
		return three(ns / 1e3) + " \u00b5s";
	if (ns < 999.5e6)
		return three(ns / 1e6) + " ms";
	if (ns < 600e9)
		return three(ns / 1e9) + " s";
	const minutes = ns / 60e9;
	return minutes < 600 ? three(minutes) + " min" : three(minutes / 60) + " h";
}

const count = (n) => figures(n, 0);
const many = (n, one, more) => count(n) + " " + (n === 1 ? one : more || one + "s");

function bytes(n) {
	return n < 1e6 ? three(n / 1e3) + " kB" : three(n / 1e6) + " MB";
}

function percent(share) {
	if (!(share > 0))
		return "0 %";
	const p = share * 100;
	return p < 0.01 ? "< 0.01 %" : figures(p, p < 1 ? 2 : p < 99.95 ? 1 : 0) + " %";
}

// A value of the page's type number `type`.
function amount(value, type) {
	const unit = D.types[type].unit;
	return unit === "nanoseconds" ? duration(value) : unit === "bytes" ? bytes(value) : count(Math.round(value));
}

// 10:15:30.123 out of 2026-11-22T10:15:30.123456789Z
function timeOfDay(text) {
	const match = /^\d{4}-\d\d-\d\dT(\d\d:\d\d:\d\d(?:\.\d{1,3})?)/.exec(text);
	return match ? match[1] : clean(text);
}
