/** Service level objectives: how they stand in words, and how they are written as OpenSLO. */

import { count, entity, moment, number } from './format';
import type { Finding, Indicator, Selector, Slo, SloRow } from './types';

const MINUTE_NS = 6e10;
const HOUR_NS = 60 * MINUTE_NS;
const DAY_NS = 24 * HOUR_NS;
/** Share of the budget from which on it is nearly gone. */
const NEARLY_GONE = 0.1;
/** Most objectives of which lists are shown. */
export const MOST_SHOWN = 200;

/** As the server judges burning for a window of 30 days, the most urgent first. */
const TIERS = [
  { factor: 14.4, long_ns: HOUR_NS, short_ns: 5 * MINUTE_NS, page: true },
  { factor: 6, long_ns: 6 * HOUR_NS, short_ns: 30 * MINUTE_NS, page: true },
  { factor: 3, long_ns: DAY_NS, short_ns: 2 * HOUR_NS, page: false },
  { factor: 1, long_ns: 3 * DAY_NS, short_ns: 6 * HOUR_NS, page: false },
];

export interface Tier {
  /** Burn rate that both windows must reach. */
  factor: number;
  long_ns: number;
  short_ns: number;
  /** Whether somebody is woken. */
  page: boolean;
}

/** The tiers of an objective: their windows shrink and grow with its own. */
export function tiers(window_ns: number): Tier[] {
  const scaled = (ns: number, least: number) => Math.max(least, Math.round((ns * (window_ns / (30 * DAY_NS))) / MINUTE_NS) * MINUTE_NS);
  return TIERS.map((tier) => ({ ...tier, long_ns: scaled(tier.long_ns, 5 * MINUTE_NS), short_ns: scaled(tier.short_ns, MINUTE_NS) }));
}

/** `30 days`, `1 hour`, `84 minutes`. */
export function length(ns: number): string {
  const [amount, unit] = ns >= DAY_NS ? [ns / DAY_NS, 'day'] : ns >= 3 * HOUR_NS || (ns >= HOUR_NS && ns % HOUR_NS === 0) ? [ns / HOUR_NS, 'hour'] : [ns / MINUTE_NS, 'minute'];
  const text = Number(amount.toFixed(1));
  return `${text} ${unit}${text === 1 ? '' : 's'}`;
}

/** `99.9 %`, with all digits of a promise. */
export function promise(target: number): string {
  return `${Number((target * 100).toPrecision(12))} %`;
}

/** What was kept, with two digits more than were promised; never rounded up to all. */
export function kept(ratio: number | null | undefined, target: number): string {
  if (ratio === null || ratio === undefined) return '–';
  const digits = Math.min(7, (String(Number((target * 100).toPrecision(12))).split('.')[1]?.length ?? 0) + 2);
  const size = 10 ** digits;
  return `${Number((Math.floor(ratio * 100 * size + 1e-6) / size).toFixed(digits))} %`;
}

/** `52 % left`, `40 % over`. */
export function budgetText(left: number | null | undefined): string {
  if (left === null || left === undefined) return 'not known';
  const size = Math.abs(left) * 100;
  const text = size >= 1e4 ? number(size) : size >= 10 || size === 0 ? String(Math.floor(size)) : size < 0.1 ? '<0.1' : (Math.floor(size * 10) / 10).toFixed(1);
  return left < 0 ? `${text} % over` : `${text} % left`;
}

export type SloState = 'burning' | 'spent' | 'low' | 'below' | 'kept' | 'early' | 'off';

export function stateOf(row: SloRow, burns: Finding | undefined): SloState {
  const left = row.status?.budget_left;
  if (!row.enabled) return 'off';
  if (burns) return 'burning';
  if (!row.status?.is_enough || left === null || left === undefined) return 'early';
  if (left <= 0) return 'spent';
  if (left < NEARLY_GONE) return 'low';
  // A budget is left although too much was bad: not the whole window was watched yet.
  return (row.status.ratio ?? 1) < row.target ? 'below' : 'kept';
}

const RANK: SloState[] = ['burning', 'spent', 'low', 'below', 'early', 'kept', 'off'];

/** An objective with what is said of it. */
export interface Standing {
  row: SloRow;
  state: SloState;
  burns: Finding | undefined;
}

/** What needs a look first, then what has least left. */
export function byNeed(a: Standing, b: Standing): number {
  const left = (row: SloRow) => row.status?.budget_left ?? 2;
  return RANK.indexOf(a.state) - RANK.indexOf(b.state) || left(a.row) - left(b.row) || a.row.name.localeCompare(b.row.name);
}

export function needsLook(state: SloState): boolean {
  return state === 'burning' || state === 'spent' || state === 'low';
}

/** Whether an objective speaks of an entity. */
export function isOf(row: SloRow, id: string): boolean {
  if (row.status?.entity) return row.status.entity === id;
  const [own, asked] = [entity(row.service), entity(id)];
  return row.service === id || (own.namespace === 'default' && own.kind === asked.kind && own.name === asked.name);
}

/** How fast it is spent, in the last hour. */
export function rateOf(row: SloRow, window_ns = HOUR_NS): number | null | undefined {
  return row.status?.burn.find((burn) => burn.window_ns === window_ns)?.rate;
}

/** What counts, as a sentence's end: `requests that do not fail`. */
export function indicatorText(indicator: Indicator): string {
  if (indicator.type === 'requests') return 'requests that do not fail';
  if (indicator.type === 'latency') return `requests that do not fail and take ${number(indicator.threshold_ms)} ms at most`;
  return 'good' in indicator.part ? `${selectorText(indicator.part.good)} of ${selectorText(indicator.total)}` : `what of ${selectorText(indicator.total)} is not ${selectorText(indicator.part.bad)}`;
}

/** When the budget is gone, in words. */
export function goneText(row: SloRow): string {
  const { status } = row;
  if (!status || status.budget_left === null) return '–';
  if (status.budget_left <= 0) return 'used up';
  return status.exhausted_at ? moment(status.exhausted_at) : 'not at this rate';
}

/** How it stands, in one or two sentences. */
export function sentence(row: SloRow, burns: Finding | undefined): string {
  const { status } = row;
  if (!status) return 'It was not looked at yet; within a minute it is.';
  if (status.budget_left === null) return `Not enough data: ${status.missing ?? 'no event was counted yet'}.`;
  const events = row.indicator.type === 'ratio' ? 'events' : 'requests';
  const facts = `${kept(status.ratio, row.target)} of ${count(status.total)} ${events} were good, ${promise(row.target)} are promised over ${length(row.window_ns)}`;
  const left = budgetText(status.budget_left).replace(' left', ' of the budget is left');
  const budget = status.budget_left <= 0 ? 'The budget is used up.' : status.exhausted_at ? `${left}; at the rate of the last hour it is gone ${moment(status.exhausted_at)}.` : `${left}.`;
  const unwatched = status.budget_left > 0 && (status.ratio ?? 1) < row.target ? ' Not the whole window was watched yet; what was not counts as good.' : '';
  const missing = status.is_enough ? '' : ` Not enough data to go by: ${status.missing}.`;
  const speed = burns ? `It burns its error budget ${number(burns.observed)} times too fast since ${moment(burns.start)}. ` : '';
  return `${speed}${facts[0]!.toUpperCase()}${facts.slice(1)}. ${budget}${unwatched}${missing}`;
}

const OPERATORS = { is: '=', is_not: '!=', fits: '=~', fits_not: '!~' };

/** As PromQL writes it; names that are none there stand in quotes. */
export function selectorText({ metric, matchers }: Selector): string {
  const plain = (text: string) => /^[a-zA-Z_:][\w:]*$/.test(text);
  const conditions = matchers.map((m) => `${plain(m.label) ? m.label : quoted(m.label)}${OPERATORS[m.operator]}${quoted(m.value)}`);
  if (plain(metric)) return metric + (conditions.length ? `{${conditions.join(',')}}` : '');
  return `{${[quoted(metric), ...conditions].join(', ')}}`;
}

function quoted(text: string): string {
  return `"${text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n').replaceAll('\t', '\\t')}"`;
}

/** What stands in the form. */
export interface SloDraft {
  name: string;
  /** `kind:namespace/name`, or a name. */
  service: string;
  counts: Indicator['type'];
  threshold_ms: string;
  /** Whether the counter beside all events counts the good ones. */
  good: boolean;
  part: string;
  total: string;
  /** Percent. */
  target: string;
  /** `30d` */
  window: string;
  description: string;
  enabled: boolean;
}

export function emptyDraft(service = ''): SloDraft {
  const name = service ? entity(service).name : '';
  return { name: name ? `${name}-availability` : '', service, counts: 'requests', threshold_ms: '300', good: false, part: '', total: '', target: '99.9', window: '30d', description: '', enabled: true };
}

export function draftOf(slo: Slo): SloDraft {
  const { indicator } = slo;
  const ratio = indicator.type === 'ratio' ? indicator : undefined;
  const part = ratio && ('good' in ratio.part ? ratio.part.good : ratio.part.bad);
  return {
    name: slo.name, service: slo.service, counts: indicator.type, threshold_ms: indicator.type === 'latency' ? String(indicator.threshold_ms) : '300',
    good: !!ratio && 'good' in ratio.part, part: part ? selectorText(part) : '', total: ratio ? selectorText(ratio.total) : '',
    target: String(Number((slo.target * 100).toPrecision(12))), window: windowText(slo.window_ns), description: slo.description, enabled: slo.enabled,
  };
}

/** `30d`, `12h`, `90m`. */
export function windowText(ns: number): string {
  if (ns % DAY_NS === 0) return `${ns / DAY_NS}d`;
  return ns % HOUR_NS === 0 ? `${ns / HOUR_NS}h` : `${Math.round(ns / MINUTE_NS)}m`;
}

/** A text as YAML: bare where nothing can be misread, else as JSON writes it, which YAML reads too. */
function yaml(text: string): string {
  return /^[A-Za-z](?:[\w./-]|:(?=\w))*(?: [\w./-]+)*$/.test(text) && !/^(true|false|null|yes|no|on|off)$/i.test(text) ? text : JSON.stringify(text);
}

/** An OpenSLO document. What is missing in the form is missing in the text too, so that the check names it. */
export function openslo(draft: SloDraft): string {
  const source = (key: string, query: string) => [`        ${key}:`, '          metricSource:', '            type: Prometheus', '            spec:', `              query: ${query.trim() ? JSON.stringify(query.trim()) : ''}`];
  const own = (...fields: string[]) => ['metricSource:', '  type: bellwether', '  spec:', ...fields.map((field) => `    ${field}`)];
  const inside = (lines: string[], by: number) => lines.map((line) => ' '.repeat(by) + line);
  const indicator = {
    requests: () => ['      ratioMetric:', '        rawType: success', '        raw:', ...inside(own('signal: requests'), 10)],
    latency: () => ['      thresholdMetric:', ...inside(own('signal: latency', `thresholdMs: ${draft.threshold_ms.trim()}`), 8)],
    ratio: () => ['      ratioMetric:', '        counter: true', ...source(draft.good ? 'good' : 'bad', draft.part), ...source('total', draft.total)],
  }[draft.counts]();
  const service = draft.service.trim();
  const annotations = [...(service.includes('/') ? [`    bellwether/entity: ${yaml(service)}`] : []), ...(draft.enabled ? [] : ['    bellwether/enabled: "false"'])];
  const percent = Number(draft.target);
  const target = draft.target.trim() && Number.isFinite(percent) ? String(Number((percent / 100).toPrecision(12))) : yaml(draft.target.trim());
  return [
    'apiVersion: openslo/v1', 'kind: SLO', 'metadata:', `  name: ${draft.name.trim() ? yaml(draft.name.trim()) : ''}`,
    ...(annotations.length ? ['  annotations:', ...annotations] : []),
    'spec:', ...(draft.description.trim() ? [`  description: ${yaml(draft.description.trim())}`] : []),
    `  service: ${service ? yaml(entity(service).name) : ''}`,
    '  indicator:', '    metadata:', `      name: ${draft.name.trim() ? yaml(`${draft.name.trim()}-indicator`) : 'indicator'}`, '    spec:', ...indicator,
    '  timeWindow:', `    - duration: ${draft.window.trim()}`, '      isRolling: true', '  budgetingMethod: Occurrences', '  objectives:', `    - target: ${target}`, '',
  ].join('\n');
}

/** A problem that the server names: on which line, and what. Line 0 where it names none. */
export interface Problem {
  line: number;
  text: string;
}

export function problems(message: string): Problem[] {
  return message.split('\n').filter(Boolean).map((text) => {
    const [, line, rest] = /^line (\d+): (.*)$/s.exec(text) ?? [];
    return line ? { line: Number(line), text: rest ?? '' } : { line: 0, text };
  });
}

/** Where the page of an objective is; the slashes of its name stay slashes. */
export function sloPath(name: string): string {
  return `/slos/${name.split('/').map(encodeURIComponent).join('/')}`;
}
