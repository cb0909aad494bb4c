/** Preparing points for charts. */

import type { Finding, Point, SeriesChart } from './types';

export interface Line {
  label: string;
  points: Point[];
  /** Not measured but expected. */
  dashed?: boolean;
}

/** What is expected at a time, and between what. */
export interface Expected {
  at: number;
  mean: number;
  low: number;
  high: number;
}

/** Colours of lines; from the ninth on they come again with dashes. */
export const COLOURS = ['--s1', '--s2', '--s3', '--s4', '--s5', '--s6', '--s7', '--s8'];

/** Puts a gap where points are missing: more than three usual steps apart. */
export function withGaps(points: Point[]): [number[], (number | null)[]] {
  const times: number[] = [];
  const values: (number | null)[] = [];
  const step = usualStep(points);
  let before: number | undefined;
  for (const [time, mean] of points) {
    if (before !== undefined && step && time - before > step * 3.5) {
      times.push(before + step);
      values.push(null);
    }
    times.push(time);
    values.push(mean);
    before = time;
  }
  return [times, values];
}

/** Points as columns, without gaps. */
export function columns(points: Point[]): [number[], (number | null)[]] {
  return [points.map(([x]) => x), points.map(([, y]) => y)];
}

function usualStep(points: Point[]): number {
  const steps: number[] = [];
  for (let i = 1; i < Math.min(points.length, 400); i++) steps.push((points[i]?.[0] ?? 0) - (points[i - 1]?.[0] ?? 0));
  steps.sort((a, b) => a - b);
  return steps[Math.floor(steps.length / 2)] ?? 0;
}

/** A stretch of time that was not as expected. */
export interface Stretch {
  from: number;
  to: number;
  /** 0 to 1. */
  belief: number;
  text: string;
}

/** What was found about the charted series, or the charted derived metric of their entities. */
export function stretches(findings: Finding[], charts: SeriesChart[]): Stretch[] {
  const series = new Set(charts.map((c) => c.series));
  const derived = new Set(charts.flatMap((c) => (c.info ? [`${c.info.entity} ${c.info.metric}`] : [])));
  const speaks = (finding: Finding) =>
    finding.evidence.some((e) => (e.type === 'series' && series.has(e.series)) || (e.type === 'derived' && derived.has(`${e.entity} ${e.metric}`)));
  return findings
    .filter((f) => f.shape !== 'cause' && speaks(f))
    .map((f) => ({ from: Date.parse(f.start), to: Date.parse(f.end), belief: f.belief, text: f.summary }));
}

/** What tells a series from its siblings: the labels that differ, else the entity. */
export function names(charts: SeriesChart[]): string[] {
  const varied = new Set<string>();
  const first = charts[0]?.info?.labels ?? {};
  for (const chart of charts) {
    const labels = chart.info?.labels ?? {};
    for (const name of new Set([...Object.keys(labels), ...Object.keys(first)])) {
      if (labels[name] !== first[name]) varied.add(name);
    }
  }
  const entities = new Set(charts.map((c) => c.info?.entity));
  const metrics = new Set(charts.map((c) => c.info?.metric));
  return charts.map((chart) => {
    const info = chart.info;
    if (!info) return `series ${chart.series}`;
    const parts: string[] = [];
    if (metrics.size > 1) parts.push(info.metric);
    if (entities.size > 1) parts.push(info.entity.slice(info.entity.indexOf('/') + 1));
    const labels = Object.entries(info.labels).filter(([name]) => varied.has(name));
    parts.push(...labels.map(([name, value]) => `${name}=${value}`));
    return parts.join(' ') || info.entity.slice(info.entity.indexOf('/') + 1);
  });
}
