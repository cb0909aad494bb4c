/** The time range of the page: read from the URL, moved by the clock. All moments are milliseconds since 1970. */

import { pending } from './api';
import { ms } from './format';
import { route, setQuery } from './router.svelte';
import type { Incident } from './types';

export interface Range {
  from: number;
  to: number;
}

const UNITS: Record<string, number> = { s: 1e3, m: 6e4, h: 36e5, d: 864e5, w: 6048e5 };
export const DEFAULT_FROM = 'now-30m';

export const PRESETS: { text: string; from: string }[] = [
  { text: 'Last 5 minutes', from: 'now-5m' },
  { text: 'Last 15 minutes', from: 'now-15m' },
  { text: 'Last 30 minutes', from: 'now-30m' },
  { text: 'Last hour', from: 'now-1h' },
  { text: 'Last 3 hours', from: 'now-3h' },
  { text: 'Last 6 hours', from: 'now-6h' },
  { text: 'Last 24 hours', from: 'now-24h' },
  { text: 'Last 7 days', from: 'now-7d' },
  { text: 'Today', from: 'now/d' },
];

class Clock {
  /** When the page's data was last asked for; a refresh moves it. */
  now = $state(Date.now());
  /** Moves each second, for ages and countdowns. */
  second = $state(Date.now());
}

export const clock = new Clock();

/** `now`, `now-6h`, `now/d`, ISO text or milliseconds; `undefined` where it is none of these. */
export function parseMoment(text: string, now: number): number | undefined {
  const trimmed = text.trim();
  const relative = /^now(?:([+-])(\d+(?:\.\d+)?)([smhdw]))?(\/d)?$/.exec(trimmed);
  if (relative) {
    const [, sign, amount, unit, floor] = relative;
    let at = now;
    if (sign && amount && unit) at += (sign === '-' ? -1 : 1) * Number(amount) * (UNITS[unit] ?? 0);
    return floor ? new Date(at).setHours(0, 0, 0, 0) : at;
  }
  if (/^\d{10,}$/.test(trimmed)) return Number(trimmed);
  const at = Date.parse(trimmed.replace(' ', 'T'));
  return Number.isNaN(at) ? undefined : at;
}

/** The range that the URL names, at the clock's now. */
export function range(): Range {
  const to = parseMoment(route.get('to') || 'now', clock.now) ?? clock.now;
  const from = parseMoment(route.get('from') || DEFAULT_FROM, clock.now) ?? to - 18e5;
  return from < to ? { from, to } : { from: to - 18e5, to };
}

export function isRelative(): boolean {
  return (route.get('to') || 'now').startsWith('now');
}

export function setRange(from: string | number, to: string | number = 'now'): void {
  const text = (moment: string | number) => (typeof moment === 'number' ? new Date(Math.round(moment)).toISOString() : moment);
  setQuery({ from: text(from), to: to === 'now' ? undefined : text(to) }, { push: true });
}

/** When an incident was, or is, going on: up to `until` where it is open, and a minute at least. */
export function stretch(incident: Incident, until: number): Range {
  const from = ms(incident.started_at);
  return { from, to: incident.resolved_at ? ms(incident.resolved_at) : Math.max(until, from + 6e4) };
}

/** Asks what happened in a stretch of time. */
export function why(from: number, to: number): void {
  setQuery({ why: `${new Date(Math.round(from)).toISOString()}~${new Date(Math.round(to)).toISOString()}` }, { push: true });
}

export function zoomOut(): void {
  const { from, to } = range();
  const width = to - from;
  if (isRelative()) setRange(`now-${Math.max(60, Math.round((width * 2) / 1000))}s`);
  else setRange(from - width / 2, Math.min(to + width / 2, Date.now()));
}

export function shift(direction: -1 | 1): void {
  const { from, to } = range();
  const step = ((to - from) / 2) * direction;
  if (to + step >= Date.now()) setRange(`now-${Math.round((to - from) / 1000)}s`);
  else setRange(from + step, to + step);
}

/** How the range reads. */
export function rangeText(): string {
  const from = route.get('from') || DEFAULT_FROM;
  const to = route.get('to') || 'now';
  const preset = to === 'now' ? PRESETS.find((p) => p.from === from) : undefined;
  if (preset) return preset.text;
  if (to === 'now' && from.startsWith('now-')) return `Last ${from.slice(4)}`;
  const { from: start, to: end } = range();
  const sameDay = new Date(start).toDateString() === new Date(end).toDateString();
  const day = (at: number) => new Date(at).toLocaleDateString(undefined, { month: 'short', day: 'numeric' });
  const time = (at: number) => new Date(at).toLocaleTimeString(undefined, { hour: '2-digit', minute: '2-digit', hour12: false });
  return sameDay ? `${day(start)}, ${time(start)} – ${time(end)}` : `${day(start)} ${time(start)} – ${day(end)} ${time(end)}`;
}

/** Seconds between refreshes: `auto` follows the width of the range, `off` and absolute ranges never refresh. */
export function refreshSeconds(): number {
  const chosen = route.get('refresh') || 'auto';
  if (chosen === 'off' || !isRelative()) return 0;
  if (chosen !== 'auto') return Math.max(1, Number(chosen) || 0);
  const { from, to } = range();
  return to - from <= 36e5 ? 5 : to - from <= 864e5 ? 30 : 120;
}

/** Keeps the clock going while the page is visible. Returns how to stop. */
export function startClock(): () => void {
  const timer = setInterval(() => {
    if (document.hidden) return;
    clock.second = Date.now();
    const every = refreshSeconds();
    if (every && pending.questions === 0 && Date.now() - clock.now >= every * 1000 - 50) clock.now = Date.now();
  }, 1000);
  return () => clearInterval(timer);
}

export function refreshNow(): void {
  clock.now = Date.now();
}

/** For what was just told to the server: it takes a moment until its answers know. */
export function refreshSoon(): void {
  setTimeout(refreshNow, 1200);
}
