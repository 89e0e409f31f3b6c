//! Positions of nodes: in columns by depth, from left to right, without overlaps.
//!
//! This module is geometry in the editor's pixels, without node types or graphs. Nodes of a cluster are together inside a
//! frame, and the frames do not overlap: each cluster is arranged first, then the clusters and the other nodes are
//! arranged as if each cluster were a node. These rules are ours, not the editor's.

/// The height of a node's title bar, which the editor draws above the node's position.
pub const TITLE_HEIGHT: u32 = 30;

/// The space between columns; links bend there.
const COLUMN_GAP: i64 = 80;
/// The space between nodes of one column.
const ROW_GAP: i64 = 40;
/// The space between a frame and its nodes.
const FRAME_PADDING: i64 = 20;
/// The height of a frame's own title.
const FRAME_TITLE: i64 = 40;
/// Positions are multiples of this, as with the editor's grid.
const GRID: i64 = 10;
/// A column higher than this is split into several, unless all columns together are about a square.
const HIGH_COLUMN: i64 = 2_400;
/// The number of passes that improve the order in the columns, each rightwards and then leftwards.
const SWEEPS: usize = 4;

/// One node to arrange.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item {
    /// Width and height of the node's body, without its title bar.
    pub size: [u32; 2],
    /// The cluster to which it belongs: an index below the number of clusters.
    pub cluster: Option<usize>,
}

/// A rectangle: its upper left corner, and its width and height.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Frame {
    /// The left edge.
    pub x: i64,
    /// The upper edge.
    pub y: i64,
    /// The width.
    pub width: i64,
    /// The height.
    pub height: i64,
}

/// The positions of nodes and frames.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Layout {
    /// The position of each node, below its title bar, in the order of the items.
    pub positions: Vec<[i64; 2]>,
    /// The frame of each cluster, in order; none for a cluster without nodes.
    pub frames: Vec<Option<Frame>>,
}

impl Frame {
    /// Returns whether the two have a point in common that is not on an edge.
    pub fn overlaps(&self, other: &Self) -> bool {
        let apart = self.x + self.width <= other.x
            || other.x + other.width <= self.x
            || self.y + self.height <= other.y
            || other.y + other.height <= self.y;
        !apart
    }
}

impl Item {
    /// Returns the area that the node covers at this position: body and title bar.
    pub fn covers(&self, [x, y]: [i64; 2]) -> Frame {
        let title = i64::from(TITLE_HEIGHT);
        let [width, height] = self.size.map(i64::from);
        Frame { x, y: y - title, width, height: height + title }
    }
}

/// Arranges the items. A link is a pair of indices of items. Links may form a cycle: one of them then goes backwards.
/// Links and clusters that are out of range are ignored.
pub fn arrange(items: &[Item], links: &[(usize, usize)], clusters: usize) -> Layout {
    let mut members = vec![Vec::new(); clusters];
    let mut parts: Vec<Part> = Vec::new();
    let mut part_of = vec![0; items.len()];
    for (index, item) in items.iter().enumerate() {
        match item.cluster.filter(|&cluster| cluster < clusters) {
            Some(cluster) => members[cluster].push(index),
            None => {
                part_of[index] = parts.len();
                parts.push(Part::single(index, item));
            }
        }
    }
    let mut local = vec![0; items.len()];
    let mut inner: Vec<Vec<(usize, usize)>> = vec![Vec::new(); clusters];
    for nodes in &members {
        for (position, &index) in nodes.iter().enumerate() {
            local[index] = position;
        }
    }
    let known = || links.iter().filter(|(from, to)| *from < items.len() && *to < items.len());
    let cluster_of = |index: usize| items[index].cluster.filter(|&cluster| cluster < clusters);
    for &(from, to) in known() {
        if let (Some(cluster), true) = (cluster_of(from), cluster_of(from) == cluster_of(to)) {
            inner[cluster].push((local[from], local[to]));
        }
    }
    for (cluster, nodes) in members.iter().enumerate().filter(|(_, nodes)| !nodes.is_empty()) {
        for &index in nodes {
            part_of[index] = parts.len();
        }
        parts.push(Part::framed(cluster, nodes, items, &inner[cluster]));
    }
    let outer: Vec<_> = known().map(|&(from, to)| (part_of[from], part_of[to])).collect();
    let sizes: Vec<_> = parts.iter().map(|part| part.size).collect();
    let corners = columns(&sizes, &outer);

    let mut layout = Layout { positions: vec![[0, 0]; items.len()], frames: vec![None; clusters] };
    for (part, [x, y]) in parts.iter().zip(corners) {
        for &(index, [inside_x, inside_y]) in &part.nodes {
            layout.positions[index] = [x + inside_x, y + inside_y + i64::from(TITLE_HEIGHT)];
        }
        if let Some(cluster) = part.cluster {
            layout.frames[cluster] = Some(Frame { x, y, width: part.size[0], height: part.size[1] });
        }
    }
    layout
}

/// A part that the outer arrangement moves as a unit: a node, or a cluster with its frame.
struct Part {
    cluster: Option<usize>,
    /// Nodes, and the upper left corners of their title bars inside the part.
    nodes: Vec<(usize, [i64; 2])>,
    size: [i64; 2],
}

impl Part {
    fn single(index: usize, item: &Item) -> Self {
        Self { cluster: None, nodes: vec![(index, [0, 0])], size: outer_size(item) }
    }

    fn framed(cluster: usize, nodes: &[usize], items: &[Item], links: &[(usize, usize)]) -> Self {
        let sizes: Vec<_> = nodes.iter().map(|&index| outer_size(&items[index])).collect();
        let corners = columns(&sizes, links);
        let far = |axis: usize| {
            let edges = corners.iter().zip(&sizes).map(|(corner, size)| corner[axis] + size[axis]);
            edges.max().unwrap_or_default()
        };
        let size = [far(0) + 2 * FRAME_PADDING, far(1) + FRAME_TITLE + 2 * FRAME_PADDING];
        let inside = corners.iter().map(|[x, y]| [x + FRAME_PADDING, y + FRAME_TITLE + FRAME_PADDING]);
        Self { cluster: Some(cluster), nodes: nodes.iter().copied().zip(inside).collect(), size }
    }
}

/// Returns the size of a node with its title bar, rounded up to the grid.
fn outer_size(item: &Item) -> [i64; 2] {
    let [width, height] = item.size.map(i64::from);
    [on_grid(width), on_grid(height + i64::from(TITLE_HEIGHT))]
}

/// Rounds up to the next multiple of the grid.
fn on_grid(length: i64) -> i64 {
    (length + GRID - 1).div_euclid(GRID) * GRID
}

/// Returns the upper left corners of rectangles in columns. The smallest coordinates are 0.
fn columns(sizes: &[[i64; 2]], links: &[(usize, usize)]) -> Vec<[i64; 2]> {
    let neighbours = Neighbours::new(sizes.len(), links);
    let depths = neighbours.depths();
    let mut layers: Vec<Vec<usize>> = vec![Vec::new(); depths.iter().max().map_or(0, |deepest| deepest + 1)];
    for (node, &depth) in depths.iter().enumerate() {
        layers[depth].push(node);
    }
    sort_layers(&mut layers, &neighbours);
    let layers = break_high(layers, sizes);

    let mut corners = vec![[0, 0]; sizes.len()];
    let mut placed = vec![false; sizes.len()];
    let mut x = 0;
    for layer in &layers {
        place(layer, x, sizes, &neighbours, &mut corners, &placed);
        for &node in layer {
            placed[node] = true;
        }
        x += layer.iter().map(|&node| sizes[node][0]).max().unwrap_or_default() + COLUMN_GAP;
    }
    let top = corners.iter().map(|corner| corner[1]).min().unwrap_or_default();
    for corner in &mut corners {
        corner[1] -= top;
    }
    corners
}

/// Places the nodes of a column below each other, near the nodes to their left that they are linked to.
fn place(
    layer: &[usize],
    x: i64,
    sizes: &[[i64; 2]],
    neighbours: &Neighbours,
    corners: &mut [[i64; 2]],
    placed: &[bool],
) {
    let mut next = 0;
    let mut first = true;
    let (mut pull, mut pulled) = (0, 0);
    for &node in layer {
        let left = neighbours.before[node].iter().filter(|&&from| placed[from]);
        let (sum, count) =
            left.fold((0, 0), |(sum, count), &from| (sum + corners[from][1] + sizes[from][1] / 2, count + 1));
        let wish = (count > 0).then(|| sum / count - sizes[node][1] / 2);
        let y = match wish {
            Some(wish) if first => wish,
            Some(wish) => wish.max(next),
            None => next,
        };
        let y = on_grid(y);
        if let Some(wish) = wish {
            pull += wish - y;
            pulled += 1;
        }
        corners[node] = [x, y];
        next = y + sizes[node][1] + ROW_GAP;
        first = false;
    }
    // Greedy placement moves nodes only downwards. The whole column moves up by the average.
    let shift = if pulled == 0 { 0 } else { on_grid(pull / pulled) };
    for &node in layer {
        corners[node][1] += shift;
    }
}

/// Orders each column so that few links cross: by the mean position of a node's neighbours, alternately on each side.
fn sort_layers(layers: &mut [Vec<usize>], neighbours: &Neighbours) {
    let mut places = vec![0.0; neighbours.before.len()];
    let note = |layer: &[usize], places: &mut [f64]| {
        for (place, &node) in layer.iter().enumerate() {
            // Relative to the column's length, so that columns of different lengths are comparable.
            places[node] = (place as f64 + 0.5) / layer.len() as f64;
        }
    };
    for layer in layers.iter() {
        note(layer, &mut places);
    }
    for sweep in 0..2 * SWEEPS {
        let rightwards = sweep % 2 == 0;
        let sides = if rightwards { &neighbours.before } else { &neighbours.after };
        let count = layers.len();
        for step in 0..count {
            let layer = &mut layers[if rightwards { step } else { count - 1 - step }];
            layer.sort_by(|&a, &b| mean(&sides[a], a, &places).total_cmp(&mean(&sides[b], b, &places)));
            note(layer, &mut places);
        }
    }
}

/// Returns the mean position of these nodes. A node without neighbours keeps its position.
fn mean(nodes: &[usize], own: usize, places: &[f64]) -> f64 {
    if nodes.is_empty() {
        return places[own];
    }
    nodes.iter().map(|&node| places[node]).sum::<f64>() / nodes.len() as f64
}

/// Splits columns that are much higher than the layout is wide. Nodes of one column are not linked to each other.
fn break_high(layers: Vec<Vec<usize>>, sizes: &[[i64; 2]]) -> Vec<Vec<usize>> {
    let area: f64 =
        sizes.iter().map(|[width, height]| (width + COLUMN_GAP) as f64 * (height + ROW_GAP) as f64).sum();
    let limit = HIGH_COLUMN.max(area.sqrt() as i64);
    let mut broken = Vec::with_capacity(layers.len());
    for layer in layers {
        let mut column = Vec::new();
        let mut height = 0;
        for node in layer {
            let more = sizes[node][1] + ROW_GAP;
            if height + more > limit && !column.is_empty() {
                broken.push(std::mem::take(&mut column));
                height = 0;
            }
            column.push(node);
            height += more;
        }
        broken.push(column);
    }
    broken
}

/// The links of each node.
struct Neighbours {
    before: Vec<Vec<usize>>,
    after: Vec<Vec<usize>>,
}

impl Neighbours {
    fn new(count: usize, links: &[(usize, usize)]) -> Self {
        let mut all = Self { before: vec![Vec::new(); count], after: vec![Vec::new(); count] };
        for &(from, to) in links.iter().filter(|(from, to)| from != to) {
            all.before[to].push(from);
            all.after[from].push(to);
        }
        all
    }

    /// Returns the column of each node: one more than the deepest node before it. In a cycle, the first node by index comes
    /// first. A node without links on its left moves right until it is next to those that use it.
    fn depths(&self) -> Vec<usize> {
        let count = self.before.len();
        let mut waits: Vec<usize> = self.before.iter().map(Vec::len).collect();
        let mut depths = vec![0; count];
        let mut done = vec![false; count];
        let mut ready: Vec<usize> = (0..count).rev().filter(|&node| waits[node] == 0).collect();
        let mut unseen = 0;
        loop {
            let node = match ready.pop() {
                Some(node) => node,
                None => {
                    // All remaining nodes are in a cycle or depend on one.
                    while unseen < count && done[unseen] {
                        unseen += 1;
                    }
                    if unseen == count {
                        break;
                    }
                    unseen
                }
            };
            if std::mem::replace(&mut done[node], true) {
                continue;
            }
            for &next in self.after[node].iter() {
                if done[next] {
                    continue;
                }
                depths[next] = depths[next].max(depths[node] + 1);
                waits[next] -= 1;
                if waits[next] == 0 {
                    ready.push(next);
                }
            }
        }
        for node in 0..count {
            if self.before[node].is_empty() {
                let nearest = self.after[node].iter().map(|&next| depths[next]).min();
                depths[node] = nearest.map_or(0, |depth: usize| depth.saturating_sub(1));
            }
        }
        depths
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: Item = Item { size: [200, 100], cluster: None };

    /// Returns all pairs of nodes that overlap.
    fn collisions(items: &[Item], layout: &Layout) -> Vec<(usize, usize)> {
        let frames: Vec<_> = items.iter().zip(&layout.positions).map(|(item, at)| item.covers(*at)).collect();
        let pairs = (0..frames.len()).flat_map(|a| (0..a).map(move |b| (a, b)));
        pairs.filter(|&(a, b)| frames[a].overlaps(&frames[b])).collect()
    }

    fn holds(frame: &Frame, inner: &Frame) -> bool {
        frame.x <= inner.x
            && frame.y <= inner.y
            && inner.x + inner.width <= frame.x + frame.width
            && inner.y + inner.height <= frame.y + frame.height
    }

    #[test]
    fn a_chain_goes_from_left_to_right_on_one_line() {
        let layout = arrange(&[SMALL; 3], &[(2, 0), (0, 1)], 0);
        assert_eq!(layout.positions, [[280, 30], [560, 30], [0, 30]]);
    }

    #[test]
    fn a_node_that_only_gives_stands_beside_those_that_use_it() {
        // 0 -> 1 -> 2, and 3 -> 2: 3 belongs into the column of 1.
        let layout = arrange(&[SMALL; 4], &[(0, 1), (1, 2), (3, 2)], 0);
        assert_eq!(layout.positions[3][0], layout.positions[1][0]);
    }

    #[test]
    fn a_cycle_and_a_link_to_itself_have_an_end() {
        let layout = arrange(&[SMALL; 3], &[(0, 1), (1, 2), (2, 0), (1, 1)], 0);
        assert_eq!(collisions(&[SMALL; 3], &layout), []);
    }

    #[test]
    fn links_and_clusters_out_of_range_count_as_none() {
        let stray = Item { cluster: Some(7), ..SMALL };
        assert_eq!(arrange(&[stray], &[(0, 9), (9, 0)], 1).frames, [None]);
        assert_eq!(arrange(&[], &[], 0), Layout::default());
    }

    #[test]
    fn many_nodes_without_links_make_no_endless_column() {
        let items = vec![SMALL; 2_000];
        let layout = arrange(&items, &[], 0);
        let far = |axis: usize| layout.positions.iter().map(|at| at[axis]).max().unwrap();
        assert!(far(1) < 2 * far(0) && far(0) < 2 * far(1), "{} by {}", far(0), far(1));
    }

    proptest! {
        #[test]
        fn no_node_covers_another_and_frames_hold_their_own_nodes_only(
            items in prop::collection::vec(
                ((1u32..600, 0u32..900), prop::option::of(0usize..4))
                    .prop_map(|((width, height), cluster)| Item { size: [width, height], cluster }),
                0..40,
            ),
            links in prop::collection::vec((0usize..42, 0usize..42), 0..80),
        ) {
            let layout = arrange(&items, &links, 4);
            prop_assert_eq!(layout.positions.len(), items.len());
            prop_assert_eq!(collisions(&items, &layout), []);
            for (cluster, frame) in layout.frames.iter().enumerate() {
                let Some(frame) = frame else {
                    prop_assert!(items.iter().all(|item| item.cluster != Some(cluster)));
                    continue;
                };
                for (item, at) in items.iter().zip(&layout.positions) {
                    let covered = item.covers(*at);
                    if item.cluster == Some(cluster) {
                        prop_assert!(holds(frame, &covered));
                    } else {
                        prop_assert!(!frame.overlaps(&covered));
                    }
                }
                for other in layout.frames[..cluster].iter().flatten() {
                    prop_assert!(!frame.overlaps(other));
                }
            }
        }

        #[test]
        fn without_cycles_and_clusters_every_link_goes_forwards(
            links in prop::collection::vec((0usize..30, 0usize..30), 0..60),
        ) {
            let links: Vec<_> = links.into_iter().filter(|(from, to)| from < to).collect();
            let layout = arrange(&[SMALL; 30], &links, 0);
            for (from, to) in links {
                prop_assert!(layout.positions[from][0] < layout.positions[to][0]);
            }
        }
    }
}
