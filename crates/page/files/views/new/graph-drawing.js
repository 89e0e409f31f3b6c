// A graph as a drawing. Nodes that give an input are marked; a node that is clicked shows its values in the list.
import { useMemo } from "preact/hooks";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { NODE_HEIGHT, NODE_WIDTH, layout } from "./layout.js";

/**
 * @param {object} props
 * @param {import("./draft.js").Graph} props.graph
 * @param {Set<string>} props.marked ids of nodes
 * @param {string | null} props.current
 * @param {(id: string) => void} props.onSelect
 */
export function GraphDrawing({ graph, marked, current, onSelect }) {
  const { nodes, links, width, height } = useMemo(() => layout(graph), [graph]);
  const places = new Map(nodes.map((node) => [node.id, node]));
  return html`<div class="drawing" tabindex="0" role="group" aria-label=${t("new.drawing")}>
    <svg viewBox=${`-8 -8 ${width + 16} ${height + 16}`} width=${width + 16} height=${height + 16}>
      ${links.map(([from, to], index) => {
        const [a, b] = [places.get(from), places.get(to)];
        if (!a || !b) return null;
        const [x1, y1, x2, y2] = [a.x + NODE_WIDTH, a.y + NODE_HEIGHT / 2, b.x, b.y + NODE_HEIGHT / 2];
        const bend = Math.max(30, (x2 - x1) / 2);
        return html`<path key=${index} class=${from === current || to === current ? "link current" : "link"} d=${`M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`} />`;
      })}
      ${nodes.map(
        (node) => html`<g
          key=${node.id}
          class=${`node ${marked.has(node.id) ? "marked" : ""} ${node.id === current ? "current" : ""}`}
          transform=${`translate(${node.x} ${node.y})`}
          role="button"
          tabindex="0"
          aria-pressed=${node.id === current}
          onClick=${() => onSelect(node.id)}
          onKeyDown=${(/** @type {KeyboardEvent} */ event) => {
            if (event.key !== "Enter" && event.key !== " ") return;
            event.preventDefault();
            onSelect(node.id);
          }}
        >
          <rect width=${NODE_WIDTH} height=${NODE_HEIGHT} rx="8" />
          <text x="12" y="20">${shortened(node.title, 21)}</text>
          <text x="12" y="36" class="node-type">${shortened(`${node.id} · ${graph[node.id]?.class_type ?? ""}`, 25)}</text>
        </g>`,
      )}
    </svg>
  </div>`;
}

/**
 * @param {string} text
 * @param {number} length
 */
function shortened(text, length) {
  return text.length > length ? `${text.slice(0, length - 1)}…` : text;
}
