/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fixed parts of the flame graph's HTML. Kinds of code differ in hue and in lightness, so that they are told
 * apart without seeing colours; the script zooms (click, Enter, Escape) and searches, and keeps no state.
 */
#ifndef FNP_FORMATS_FLAMEGRAPH_PAGE_H
#define FNP_FORMATS_FLAMEGRAPH_PAGE_H

#define FNP_FLAMEGRAPH_HEAD                                                                                  \
	"<!DOCTYPE html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"                                    \
	"<meta name=\"viewport\" content=\"width=device-width\">\n<link rel=\"icon\" href=\"data:,\">\n"

#define FNP_FLAMEGRAPH_STYLE                                                                                 \
	"\n<style>\n"                                                                                        \
	":root{color-scheme:light dark;font:13px system-ui,sans-serif}\n"                                    \
	"body{margin:12px}header{display:flex;gap:12px;align-items:baseline;flex-wrap:wrap}\n"               \
	"h1{font-size:16px;margin:0 auto 8px 0;overflow-wrap:anywhere}\n"                                    \
	"#graph svg{cursor:pointer;outline:none}#graph text{font:11px ui-monospace,monospace;fill:#111;"     \
	"pointer-events:none}\n"                                                                             \
	"#graph rect{stroke:none}#graph svg:hover rect,#graph svg:focus rect{stroke:#000;stroke-width:2}\n"  \
	".native{--c:#e8b04a}.kernel{--c:#d9825f}.python{--c:#8fc3e8}.jvm{--c:#9fd6a0}.v8{--c:#f2e28a}"      \
	".marker{--c:#cfcfcf}\n"                                                                             \
	"#graph rect{fill:var(--c)}#graph .hit rect{fill:#d63fb4}#graph .hit text{fill:#fff}"                \
	"#graph .off{display:none}#graph .above rect{opacity:.5}\n"                                          \
	"footer{margin-top:8px}footer b{background:var(--c);color:#111;padding:1px 6px;margin-right:4px;"    \
	"font-weight:normal}\n"                                                                              \
	"</style>\n"

#define FNP_FLAMEGRAPH_TOOLS                                                                                 \
	"<output id=\"share\"></output><input type=\"search\" id=\"find\" placeholder=\"Search\" "           \
	"aria-label=\"Search frames\"><button id=\"reset\">Reset</button>"

#define FNP_FLAMEGRAPH_LEGEND                                                                                \
	"<b class=\"native\">native</b><b class=\"kernel\">kernel _[k]</b><b class=\"python\">Python</b>"    \
	"<b class=\"jvm\">JVM</b><b class=\"v8\">V8</b><b class=\"marker\">marker</b> "                      \
	"_[i] inlined, _[j] compiled by a JIT, _[0] interpreted, _[a] awaiting"

#define FNP_FLAMEGRAPH_SCRIPT                                                                                \
	"<script>\n"                                                                                         \
	"'use strict';\n"                                                                                    \
	"const graph = document.getElementById('graph'), find = document.getElementById('find');\n"          \
	"const frames = [...graph.children].map(el => ({el, x: parseFloat(el.getAttribute('x')),\n"          \
	"  w: parseFloat(el.getAttribute('width')), y: +el.getAttribute('y'),\n"                             \
	"  name: el.querySelector('text').textContent}));\n"                                                 \
	"const of = new Map(frames.map(f => [f.el, f]));\n"                                                  \
	"const EPS = 2e-4;\n"                                                                                \
	"function zoom(to) {\n"                                                                              \
	"  for (const f of frames) {\n"                                                                      \
	"    const above = f.y > to.y && f.x <= to.x + EPS && f.x + f.w >= to.x + to.w - EPS;\n"             \
	"    const inside = f.x >= to.x - EPS && f.x + f.w <= to.x + to.w + EPS && f.y <= to.y;\n"           \
	"    f.el.classList.toggle('off', !above && !inside);\n"                                             \
	"    f.el.classList.toggle('above', above && to !== frames[0]);\n"                                   \
	"    const k = 100 / to.w;\n"                                                                        \
	"    f.el.setAttribute('x', above ? '0%' : (f.x - to.x) * k + '%');\n"                               \
	"    f.el.setAttribute('width', above ? '100%' : f.w * k + '%');\n"                                  \
	"  }\n"                                                                                              \
	"}\n"                                                                                                \
	"function search() {\n"                                                                              \
	"  const text = find.value.toLowerCase();\n"                                                         \
	"  const hits = frames.filter(f => {\n"                                                              \
	"    const hit = text !== '' && f.name.toLowerCase().includes(text);\n"                              \
	"    f.el.classList.toggle('hit', hit);\n"                                                           \
	"    return hit;\n"                                                                                  \
	"  }).sort((a, b) => a.x - b.x);\n"                                                                  \
	"  let end = 0, sum = 0;\n"                                                                          \
	"  for (const f of hits) {\n"                                                                        \
	"    sum += Math.max(0, f.x + f.w - Math.max(end, f.x));\n"                                          \
	"    end = Math.max(end, f.x + f.w);\n"                                                              \
	"  }\n"                                                                                              \
	"  document.getElementById('share').textContent = text === '' ? '' : sum.toFixed(2) + ' % "          \
	"matched';\n"                                                                                        \
	"}\n"                                                                                                \
	"function reset() { find.value = ''; search(); zoom(frames[0]); }\n"                                 \
	"graph.addEventListener('click', e => {\n"                                                           \
	"  const f = of.get(e.target.closest('[data-frame]'));\n"                                            \
	"  if (f) zoom(f);\n"                                                                                \
	"});\n"                                                                                              \
	"graph.addEventListener('keydown', e => {\n"                                                         \
	"  if (e.key === 'Enter' && of.has(e.target)) zoom(of.get(e.target));\n"                             \
	"});\n"                                                                                              \
	"addEventListener('keydown', e => { if (e.key === 'Escape') reset(); });\n"                          \
	"find.addEventListener('input', search);\n"                                                          \
	"document.getElementById('reset').addEventListener('click', reset);\n"                               \
	"</script>\n"

#endif
