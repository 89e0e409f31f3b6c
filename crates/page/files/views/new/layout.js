// Where the nodes of a graph are drawn: in columns, each to the right of the nodes that it takes from.

/** @typedef {import("./draft.js").Graph} Graph */
/** @typedef {{ id: string, title: string, x: number, y: number }} PlacedNode */

export const NODE_WIDTH = 186;
export const NODE_HEIGHT = 46;
const COLUMN = NODE_WIDTH + 60;
const ROW = NODE_HEIGHT + 18;

/**
 * @param {Graph} graph
 * @returns {{ nodes: PlacedNode[], links: [string, string][], width: number, height: number }}
 */
export function layout(graph) {
  const links = linksOf(graph);
  const columns = columnsOf(Object.keys(graph), links);
  /** @type {Map<string, PlacedNode>} */
  const placed = new Map();
  for (const column of columns) {
    // Near the nodes that it takes from, so that links cross little.
    const wanted = (/** @type {string} */ id) => {
      const rows = links.filter(([, to]) => to === id).flatMap(([from]) => placed.get(from)?.y ?? []);
      return rows.length ? rows.reduce((sum, y) => sum + y, 0) / rows.length : 0;
    };
    const ordered = column.ids.map((id) => ({ id, y: wanted(id) })).sort((a, b) => a.y - b.y);
    ordered.forEach(({ id }, row) => {
      const node = graph[id];
      placed.set(id, { id, title: node?._meta?.title ?? node?.class_type ?? id, x: column.index * COLUMN, y: row * ROW });
    });
  }
  const nodes = [...placed.values()];
  const extent = (/** @type {"x" | "y"} */ axis, /** @type {number} */ size) => nodes.reduce((most, node) => Math.max(most, node[axis] + size), size);
  return { nodes, links, width: extent("x", NODE_WIDTH), height: extent("y", NODE_HEIGHT) };
}

/**
 * @param {Graph} graph
 * @returns {[string, string][]}
 */
function linksOf(graph) {
  return Object.entries(graph).flatMap(([to, node]) =>
    Object.values(node.inputs).flatMap((value) => {
      const isLink = Array.isArray(value) && value.length === 2 && String(value[0]) in graph;
      return isLink ? [/** @type {[string, string]} */ ([String(value[0]), to])] : [];
    }),
  );
}

/**
 * Returns the nodes by column: the longest way from a node that takes from none. A cycle ends after as many steps as there
 * are nodes.
 * @param {string[]} ids
 * @param {[string, string][]} links
 */
function columnsOf(ids, links) {
  const depth = new Map(ids.map((id) => [id, 0]));
  for (let round = 0; round < ids.length; round++) {
    let changed = false;
    for (const [from, to] of links) {
      const wanted = (depth.get(from) ?? 0) + 1;
      if (wanted > (depth.get(to) ?? 0) && wanted < ids.length) {
        depth.set(to, wanted);
        changed = true;
      }
    }
    if (!changed) break;
  }
  const indexes = [...new Set(depth.values())].sort((a, b) => a - b);
  return indexes.map((at, index) => ({ index, ids: ids.filter((id) => depth.get(id) === at) }));
}
