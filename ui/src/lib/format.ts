/** Numbers, times and names for people. */

export function number(value: number | null | undefined, digits = 3): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size === 0) return '0';
  if (size >= 1e9) return trim(value / 1e9) + ' G';
  if (size >= 1e6) return trim(value / 1e6) + ' M';
  if (size >= 1e4) return trim(value / 1e3) + ' k';
  if (size < 1e-3) return value.toExponential(1);
  return Number(value.toPrecision(digits)).toLocaleString('en-US', { maximumFractionDigits: 4 });
}

export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? '–' : Math.round(value).toLocaleString('en-US');
}

export function percent(ratio: number | null | undefined): string {
  if (ratio === null || ratio === undefined || !Number.isFinite(ratio)) return '–';
  const value = ratio * 100;
  if (value < 0) return `−${percent(-ratio)}`;
  return (value === 0 ? '0' : value < 0.1 ? '<0.1' : value < 10 ? value.toFixed(1) : value.toFixed(0)) + ' %';
}

/** A length of time in milliseconds, e.g. `1.2 s`. */
export function millis(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  const size = Math.abs(value);
  if (size === 0) return '0 ms';
  if (size < 0.001) return `${Math.round(value * 1e6)} ns`;
  if (size < 1) return `${Math.round(value * 1000)} µs`;
  if (size < 10) return `${value.toFixed(1)} ms`;
  if (size < 1000) return `${Math.round(value)} ms`;
  if (size < 60_000) return `${(value / 1000).toFixed(size < 10_000 ? 2 : 1)} s`;
  return age(value);
}

/** How long something lasts, coarse, e.g. `4 min`, `2 h 10 min`. */
export function age(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 60) return `${s} s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m} min`;
  const h = Math.floor(m / 60);
  if (h < 48) return m % 60 ? `${h} h ${m % 60} min` : `${h} h`;
  return `${Math.floor(h / 24)} d`;
}

export function ms(text: string | null | undefined): number {
  return text ? Date.parse(text) : NaN;
}

export function clockTime(at: string | number | null | undefined, fraction = false): string {
  const date = new Date(at ?? NaN);
  if (Number.isNaN(date.getTime())) return '–';
  const text = date.toLocaleTimeString('en-GB', { hour12: false });
  return fraction ? `${text}.${String(date.getMilliseconds()).padStart(3, '0')}` : text;
}

/** Date and time, the date only where it is not today. */
export function moment(at: string | number | null | undefined): string {
  const date = new Date(at ?? NaN);
  if (Number.isNaN(date.getTime())) return '–';
  const time = clockTime(date.getTime());
  if (date.toDateString() === new Date().toDateString()) return time;
  return `${date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })} ${time}`;
}

export function exact(at: string | number | null | undefined): string {
  const date = new Date(at ?? NaN);
  return Number.isNaN(date.getTime()) ? '' : date.toISOString();
}

export interface EntityName {
  kind: string;
  namespace: string;
  name: string;
}

/** Takes `kind:namespace/name` apart. */
export function entity(id: string): EntityName {
  const colon = id.indexOf(':');
  const kind = colon < 0 ? 'service' : id.slice(0, colon);
  const rest = id.slice(colon + 1);
  const slash = rest.indexOf('/');
  return slash < 0
    ? { kind, namespace: 'default', name: rest }
    : { kind, namespace: rest.slice(0, slash), name: rest.slice(slash + 1) };
}

/** Where an entity's page is. */
export function entityPath(id: string): string {
  const { kind, namespace, name } = entity(id);
  const path = `/services/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
  return kind === 'service' ? path : `${path}?kind=${encodeURIComponent(kind)}`;
}

/** Links come from outside: only those to the web may be followed. */
export function webLink(link: string | null | undefined): string | undefined {
  return link && /^https?:\/\//i.test(link) ? link : undefined;
}

const SEVERITIES = ['trace', 'debug', 'info', 'warn', 'error', 'fatal'] as const;
export type LogLevel = (typeof SEVERITIES)[number] | 'unset';

/** OTLP severity number to its name. */
export function level(severity: number): LogLevel {
  if (severity <= 0) return 'unset';
  return SEVERITIES[Math.min(5, Math.floor((severity - 1) / 4))] ?? 'unset';
}

/** A value in the unit of its metric. */
export function inUnit(value: number | null | undefined, metric: string, unit = ''): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  if (/slo\.budget_left$/.test(metric)) return percent(value);
  if (/slo[._]burn/.test(metric)) return `${number(value)}×`;
  if (/ratio$/.test(metric) || /error_ratio/.test(metric)) return percent(value);
  if (/latency_ms|_ms(_|$)/.test(metric) || unit === 'ms') return millis(value);
  if (/rate$/.test(metric) || unit === '1/s') return `${number(value)}/s`;
  if (unit === 'By' || /_bytes$/.test(metric)) return bytes(value);
  if (unit === 's' || /_seconds$/.test(metric)) return millis(value * 1000);
  if (unit === '1' || unit.startsWith('{')) return number(value);
  return unit ? `${number(value)} ${unit}` : number(value);
}

export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let size = value;
  let step = 0;
  while (Math.abs(size) >= 1024 && step < units.length - 1) {
    size /= 1024;
    step += 1;
  }
  return `${Number(size.toPrecision(3))} ${units[step]}`;
}

function trim(value: number): string {
  return String(Number(value.toPrecision(3)));
}
