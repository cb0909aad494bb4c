/** A layered drawing of a directed graph: longest path gives the column, the middle of the neighbours the row. */

export const NODE = { width: 164, height: 44 };
const GAP = { x: 72, y: 18 };
const MARGIN = 16;

export interface Placed {
  nodes: { id: string; x: number; y: number }[];
  edges: { source: string; target: string; path: string }[];
  width: number;
  height: number;
}

interface Link {
  source: string;
  target: string;
}

export function layout(ids: string[], links: Link[]): Placed {
  const known = new Set(ids);
  const edges = dropRepeats(links.filter((l) => known.has(l.source) && known.has(l.target) && l.source !== l.target));
  const columns = order(group(layers([...known].sort(), edges)), edges);
  const tallest = Math.max(1, ...columns.map((c) => c.length));
  const height = tallest * (NODE.height + GAP.y) - GAP.y + MARGIN * 2;
  const at = new Map<string, { x: number; y: number }>();
  columns.forEach((column, i) => {
    const own = column.length * (NODE.height + GAP.y) - GAP.y;
    const top = (height - own) / 2;
    column.forEach((id, row) => at.set(id, { x: MARGIN + i * (NODE.width + GAP.x), y: top + row * (NODE.height + GAP.y) }));
  });
  return {
    nodes: [...at].map(([id, place]) => ({ id, ...place })),
    edges: edges.map((edge) => ({ ...edge, path: curve(at.get(edge.source), at.get(edge.target)) })),
    width: columns.length * (NODE.width + GAP.x) - GAP.x + MARGIN * 2,
    height,
  };
}

function dropRepeats(links: Link[]): Link[] {
  const seen = new Map<string, Link>();
  for (const { source, target } of links) seen.set(`${source}\n${target}`, { source, target });
  return [...seen.values()];
}

/** The longest way from a node that nobody calls; calls in a circle are not followed twice. */
function layers(ids: string[], edges: Link[]): Map<string, number> {
  const calls = new Map<string, string[]>();
  const called = new Set(edges.map((e) => e.target));
  for (const edge of edges) calls.set(edge.source, [...(calls.get(edge.source) ?? []), edge.target]);
  const depth = new Map<string, number>();
  const onWay = new Set<string>();
  let budget = 20_000;
  const visit = (id: string, level: number) => {
    if (onWay.has(id) || budget-- <= 0 || (depth.get(id) ?? -1) >= level) return;
    depth.set(id, level);
    onWay.add(id);
    for (const next of calls.get(id) ?? []) visit(next, level + 1);
    onWay.delete(id);
  };
  for (const id of ids) if (!called.has(id)) visit(id, 0);
  for (const id of ids) if (!depth.has(id)) visit(id, 0);
  return depth;
}

function group(depth: Map<string, number>): string[][] {
  const columns: string[][] = [];
  for (const [id, level] of depth) (columns[level] ??= []).push(id);
  return [...columns].map((column) => column ?? []).filter((column) => column.length > 0);
}

/** A few sweeps that put each node at the middle of its neighbours. */
function order(columns: string[][], edges: Link[]): string[][] {
  const near = new Map<string, string[]>();
  for (const { source, target } of edges) {
    near.set(source, [...(near.get(source) ?? []), target]);
    near.set(target, [...(near.get(target) ?? []), source]);
  }
  let result = columns.map((column) => [...column].sort());
  for (let sweep = 0; sweep < 6; sweep++) {
    const place = new Map<string, number>();
    for (const column of result) column.forEach((id, i) => place.set(id, (i + 0.5) / column.length));
    result = result.map((column) => {
      const middle = new Map(column.map((id) => [id, mean((near.get(id) ?? []).map((n) => place.get(n) ?? 0.5))]));
      return [...column].sort((a, b) => (middle.get(a) ?? 0) - (middle.get(b) ?? 0) || a.localeCompare(b));
    });
  }
  return result;
}

function mean(values: number[]): number {
  return values.length ? values.reduce((a, b) => a + b, 0) / values.length : 0.5;
}

function curve(source: { x: number; y: number } | undefined, target: { x: number; y: number } | undefined): string {
  if (!source || !target) return '';
  const back = target.x <= source.x;
  const x1 = source.x + (back ? 0 : NODE.width);
  const x2 = target.x + (back ? NODE.width : 0);
  const y1 = source.y + NODE.height / 2;
  const y2 = target.y + NODE.height / 2;
  const bend = Math.max(32, Math.abs(x2 - x1) / 2) * (back ? -1 : 1);
  return `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`;
}
