// SPDX-License-Identifier: Apache-2.0
// From rows to weights of nodes, and from weights to places in the graph.

// Self values by type and node.
function emptySelf() {
	return D.types.map(() => new Float64Array(D.nodes.n));
}

function addGraph(self, graph, sign) {
	for (let t = 0; t < graph.values.length; t++) {
		const into = self[t], values = graph.values[t], nodes = graph.nodes;
		for (let i = 0; i < nodes.length; i++)
			into[nodes[i]] += sign * values[i];
	}
}

/*
 * The sum over a set of rows. Rows without a graph of their own can still be counted when all others of their group
 * have one: the group's sum is whole, and the others are taken off it. `missing` counts those that are not in.
 */
async function sumRows(rows) {
	const self = emptySelf();
	const byGroup = new Map();
	let missing = 0;
	for (const row of rows) {
		if (!byGroup.has(row.group))
			byGroup.set(row.group, new Set());
		byGroup.get(row.group).add(row);
	}
	for (const [n, wanted] of byGroup) {
		const group = D.groups[n];
		const others = wanted.size === group.rows ? [] : group.members.filter((r) => !wanted.has(r));
		const lacking = [...wanted].filter((r) => !r.has).length;
		const unreadable = [...wanted].some((r) => r.chunk === UNREADABLE);
		const complete = wanted.size + others.length === group.rows && others.every((r) => r.has);
		if (complete && !unreadable && (lacking > 0 || others.length < wanted.size)) {
			addGraph(self, group.graph, 1);
			for (const row of others)
				addGraph(self, await graphOf(row), -1);
			continue;
		}
		missing += lacking;
		for (const row of wanted) {
			const graph = await graphOf(row);
			if (graph)
				addGraph(self, graph, 1);
		}
	}
	return {self, missing, rows: rows.length};
}

function sumEverything() {
	const self = emptySelf();
	for (const group of D.groups)
		addGraph(self, group.graph, 1);
	return {self, missing: 0, rows: D.head.rows};
}

// Value of each node with all that it called.
function totals(self) {
	const total = Float64Array.from(self), parent = D.nodes.parent;
	for (let i = D.nodes.n - 1; i > 0; i--)
		total[parent[i]] += total[i];
	return total;
}

/*
 * Places: for each depth the nodes from left to right with where they begin and how wide they are, in units of the
 * value. Heavy ones stand left. Within a level x only grows, so a place is found by halving.
 */
function layOut(weight) {
	const levels = [];
	const {first, child} = D.nodes;
	let ids = weight[0] > 0 ? Int32Array.of(0) : new Int32Array(0), xs = Float64Array.of(0);
	while (ids.length > 0) {
		const ws = new Float64Array(ids.length);
		const nextIds = [], nextXs = [];
		for (let i = 0; i < ids.length; i++) {
			ws[i] = weight[ids[i]];
			const from = nextIds.length;
			for (let c = first[ids[i]]; c < first[ids[i] + 1]; c++) {
				if (weight[child[c]] > 0)
					nextIds.push(child[c]);
			}
			if (nextIds.length - from > 1) {
				const kids = nextIds.splice(from).sort((a, b) => weight[b] - weight[a] || a - b);
				for (const kid of kids)
					nextIds.push(kid);
			}
			let x = xs[i];
			for (let k = from; k < nextIds.length; k++) {
				nextXs.push(x);
				x += weight[nextIds[k]];
			}
		}
		levels.push({ids, x: xs, w: ws});
		ids = Int32Array.from(nextIds);
		xs = Float64Array.from(nextXs);
	}
	return levels;
}

// The first place of a level that ends right of x.
function firstAfter(level, x, from = 0) {
	let low = from, high = level.ids.length;
	while (low < high) {
		const middle = (low + high) >> 1;
		if (level.x[middle] + level.w[middle] > x)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

// Where a node stands in a layout, or null.
function placeOf(levels, node) {
	const depth = D.nodes.depth[node];
	const level = levels[depth];
	const i = level ? level.ids.indexOf(node) : -1;
	return i < 0 ? null : {depth, i, node, x: level.x[i], w: level.w[i]};
}
