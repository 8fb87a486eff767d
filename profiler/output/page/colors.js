// SPDX-License-Identifier: Apache-2.0
// What colours mean. Hues of the kinds also differ in lightness, so that they stay apart without red or green; the
// e2e test holds it. A frame's shade within its kind comes from its name, so that neighbours differ.

const KINDS = ["native", "kernel", "python", "jvm", "v8", "marker"]; // formats/profile.h: enum fnp_frame_kind
const KIND_NAMES = ["native", "kernel", "Python", "JVM", "V8", "marker"];
const TIERS = ["", "compiled by a JIT", "interpreted", "awaiting, not on the stack"];
const TIER_JIT = 1, TIER_INTERPRETED = 2, TIER_AWAITING = 3;

// Hue, saturation, lightness, by theme.
const PALETTE = {
	light: [[215, 72, 68], [14, 70, 62], [50, 78, 68], [160, 46, 54], [306, 38, 71], [227, 6, 84]],
	dark: [[217, 46, 56], [15, 57, 51], [44, 68, 60], [160, 44, 47], [288, 36, 77], [227, 6, 50]],
};
const SHADES = 6;
const INK = {light: "#14171f", dark: "#0d0f14"};

const theme = {name: "light", shades: [], faded: "", edge: ""};

function setTheme(name) {
	theme.name = name;
	document.documentElement.dataset.theme = name;
	theme.shades = PALETTE[name].map(([h, s, l]) => Array.from({length: SHADES}, (_, i) =>
		`hsl(${h + (i % 3 - 1) * 3} ${s}% ${l + (i - (SHADES - 1) / 2) * 1.3}%)`));
	theme.faded = name === "light" ? "#e4e4e6" : "#33363d";
	theme.fadedInk = name === "light" ? "#8b8e96" : "#8d919b";
	theme.root = name === "light" ? "#d3d6dd" : "#585d69";
}

// A small hash of a frame's name, kept by string number.
let shadeOfName = null;

function shadeOf(frame) {
	const name = D.frame.name[frame];
	if (!shadeOfName)
		shadeOfName = new Uint8Array(D.names.length).fill(255);
	if (shadeOfName[name] === 255) {
		let h = 7;
		for (let i = 0; i < Math.min(D.names[name].length, 64); i++)
			h = (h * 31 + D.names[name].charCodeAt(i)) >>> 0;
		shadeOfName[name] = h % SHADES;
	}
	return shadeOfName[name];
}

function frameColor(frame) {
	return frame === 0 ? theme.root : theme.shades[Math.min(D.frame.kind[frame], 5)][shadeOf(frame)];
}

// The same without a name's shade.
function kindColor(frame) {
	return theme.shades[Math.min(D.frame.kind[frame], 5)][1];
}

// From -1 (only in B) over 0 (the same) to 1 (only in A), in 20 steps: blue, grey, orange.
function differenceColor(d) {
	const step = Math.round(Math.abs(d) * 10) / 10;
	const [h, s] = d > 0 ? [24, theme.name === "light" ? 84 : 66] : [212, 64];
	const [plain, full] = theme.name === "light" ? [86, 60] : [42, 56];
	return `hsl(${h} ${Math.round(s * Math.min(1, step * 1.2))}% ${Math.round(plain + (full - plain) * step)}%)`;
}
