/** The one place that speaks HTTP. Every error comes out as an {@link ApiError}: what, why, what to do, code. */

import type {
  Alerts, ApartAnswer, Change, ColumnsAnswer, Contrasts, Delivery, Detection, Fault, Finding, Forecast, Incident, LogLine, MetricName, Move, NearMiss, Noise, Parameters, Pattern, Points,
  Replay, ReplayPlan, Route, RoutesPreview, RouteTable, ServiceDetail, ServiceRow, Serving, Silence, SilencePreview, SilenceSaid, Similar, SloRow, SlosRead, Span, SqlAnswer, Status, Suspected, Topology, Trainings,
} from './types';

export class ApiError extends Error {
  constructor(
    message: string,
    readonly code: string,
    readonly hint: string,
    readonly status: number,
  ) {
    super(message);
  }

  static from(error: unknown): ApiError {
    if (error instanceof ApiError) return error;
    return new ApiError(
      'the server cannot be reached',
      'BELLWETHER-E0000',
      'see whether it still runs (`bellwether status`); this page tries again by itself',
      0,
    );
  }
}

export type Query = Record<string, string | number | boolean | null | undefined>;
type Method = 'GET' | 'POST' | 'DELETE';

interface Window {
  from: number;
  to: number;
}

const TOKEN = 'bellwether.token';

export function token(): string {
  return read(TOKEN);
}

/** Keeps the token for this tab only. */
export function setToken(text: string): void {
  try {
    sessionStorage.setItem(TOKEN, text);
  } catch {
    // Without storage the token is asked for again after a reload.
  }
}

function read(name: string): string {
  try {
    return sessionStorage.getItem(name) ?? '';
  } catch {
    return '';
  }
}

/** How many questions are open; the clock waits for them, so that a slow server is not asked again and again. */
export const pending = { questions: 0 };

export async function ask<T>(method: Method, path: string, signal?: AbortSignal, body?: unknown): Promise<T> {
  pending.questions += 1;
  try {
    return await send<T>(method, path, signal, body);
  } finally {
    pending.questions -= 1;
  }
}

async function send<T>(method: Method, path: string, signal?: AbortSignal, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' };
  // A text is sent as it is: only objectives are written so.
  if (body !== undefined) headers['content-type'] = typeof body === 'string' ? 'application/yaml' : 'application/json';
  if (token()) headers['authorization'] = `Bearer ${token()}`;
  const response = await fetch(path, {
    method,
    headers,
    ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    ...(signal ? { signal } : {}),
  });
  const text = await response.text();
  if (response.ok && response.headers.get('content-type')?.startsWith('text/markdown')) return text as T;
  let value: unknown;
  try {
    value = text ? JSON.parse(text) : null;
  } catch {
    throw new ApiError('the answer is not JSON', 'BELLWETHER-E0000', 'is a proxy in between? open the path in a tab of its own', response.status);
  }
  if (!response.ok) throw refused(response.status, value);
  return value as T;
}

/** The bytes of a file. */
export async function fetchFile(path: string, signal?: AbortSignal): Promise<Blob> {
  const response = await fetch(path, {
    headers: token() ? { authorization: `Bearer ${token()}` } : {},
    ...(signal ? { signal } : {}),
  });
  if (response.ok) return response.blob();
  throw refused(response.status, await response.json().catch(() => null));
}

/** Fetches a file and saves it: a plain link would carry no token. */
export async function saveFile(path: string, name: string): Promise<void> {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(await fetchFile(path));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

function refused(status: number, value: unknown): ApiError {
  const said = (value ?? {}) as { error?: unknown; hint?: unknown; code?: unknown; error_code?: unknown; message?: unknown };
  const text = (part: unknown, otherwise: string) => (typeof part === 'string' && part ? part : otherwise);
  // MLflow's interface has names of its own for the code and the message, and no hints.
  const hint = !said.error_code ? "see the server's log" : status === 404 ? 'lists show what is there' : status < 500 ? 'mend what the message names' : "try again; the server's log says more";
  return new ApiError(
    text(said.error, text(said.message, `the server answered ${status}`)),
    text(said.code, text(said.error_code, `BELLWETHER-E0${status}`)),
    text(said.hint, hint),
    status,
  );
}

export function query(values: Query): string {
  const parts = new URLSearchParams();
  for (const [name, value] of Object.entries(values)) {
    if (value !== undefined && value !== null && value !== '' && value !== false) parts.set(name, String(value));
  }
  const text = parts.toString();
  return text ? `?${text}` : '';
}

function span(range: Window): { from: string; to: string } {
  return { from: new Date(range.from).toISOString(), to: new Date(range.to).toISOString() };
}

const get = <T>(path: string, signal?: AbortSignal) => ask<T>('GET', path, signal);
const part = encodeURIComponent;

/** The server takes no slashes within a part of a path, however they are written. */
export const isPathTrick = (name: string) => /[/\\\0]/.test(name);

export const api = {
  status: (signal?: AbortSignal) => get<Status>('/api/v1/status', signal),

  incidents: (asked: { state?: string; tenant?: string; limit?: number }, signal?: AbortSignal) =>
    get<Incident[]>('/api/v1/incidents' + query(asked), signal),
  incident: (id: string, signal?: AbortSignal) => get<Incident>(`/api/v1/incidents/${part(id)}`, signal),
  say: (id: string, what: 'acknowledge' | 'resolve' | 'dismiss') =>
    ask<{ incident: string }>('POST', `/api/v1/incidents/${part(id)}/${what}`, undefined, {}),
  similar: (id: string, signal?: AbortSignal) => get<Similar[]>(`/api/v1/incidents/${part(id)}/similar`, signal),
  /** Markdown. */
  postmortem: (id: string) => get<string>(`/api/v1/incidents/${part(id)}/postmortem`),
  join: (id: string, into: string) => ask<{ incident: string }>('POST', `/api/v1/incidents/${part(id)}/join`, undefined, { into }),
  split: (id: string, entities: string[]) => ask<{ incident: string }>('POST', `/api/v1/incidents/${part(id)}/split`, undefined, { entities }),
  note: (id: string, text: string) => ask<{ incident: string }>('POST', `/api/v1/incidents/${part(id)}/notes`, undefined, { text }),
  findings: (asked: { entity?: string; ongoing?: boolean; tenant?: string; limit?: number }, range: Window, signal?: AbortSignal) =>
    get<Finding[]>('/api/v1/findings' + query({ ...asked, ...span(range) }), signal),

  serving: (model: string, signal?: AbortSignal) => get<Serving>(`/api/v1/models/${part(model)}/serving`, signal),
  columns: (model: string, asked: { version?: string }, range: Window, signal?: AbortSignal) =>
    get<ColumnsAnswer>(`/api/v1/models/${part(model)}/columns` + query({ ...asked, ...span(range) }), signal),
  trainings: (model: string, signal?: AbortSignal) => get<Trainings>(`/api/v1/models/${part(model)}/trainings`, signal),
  moves: (model: string, signal?: AbortSignal) => get<{ moves: Move[] }>(`/api/v1/models/${part(model)}/moves`, signal),

  services: (tenant: string, signal?: AbortSignal) => get<ServiceRow[]>('/api/v1/services' + query({ tenant }), signal),
  service: (namespace: string, name: string, signal?: AbortSignal) =>
    get<ServiceDetail>(`/api/v1/services/${part(namespace)}/${part(name)}`, signal),
  topology: (tenant: string, signal?: AbortSignal) => get<Topology>('/api/v1/topology' + query({ tenant }), signal),
  changes: (asked: { entity?: string; tenant?: string }, range: Window | undefined, signal?: AbortSignal) =>
    get<Change[]>('/api/v1/changes' + query({ ...asked, ...(range ? span(range) : {}) }), signal),

  metrics: (asked: { entity?: string; search?: string; tenant?: string }, signal?: AbortSignal) =>
    get<MetricName[]>('/api/v1/metrics/names' + query(asked), signal),
  points: (
    asked: { series?: string; metric?: string; entity?: string; labels?: string; tenant?: string; limit?: number; max_points?: number },
    range: Window,
    signal?: AbortSignal,
  ) => get<Points>('/api/v1/series/points' + query({ ...asked, ...span(range) }), signal),

  contrast: (asked: { entity?: string; tenant?: string; limit?: number }, range: Window, signal?: AbortSignal) =>
    get<Contrasts>('/api/v1/contrast' + query({ ...asked, ...span(range) }), signal),
  apart: (asked: { entity?: string; slow_ms?: string; tenant?: string; limit?: number }, range: Window, signal?: AbortSignal) =>
    get<ApartAnswer>('/api/v1/contrast/attributes' + query({ ...asked, ...span(range) }), signal),
  suspected: (asked: { entity?: string; tenant?: string }, range: Window, signal?: AbortSignal) =>
    get<Suspected>('/api/v1/contrast/causes' + query({ ...asked, ...span(range) }), signal),
  forecast: (asked: { series: string; horizon: string; threshold?: string }, signal?: AbortSignal) =>
    get<Forecast>('/api/v1/forecast' + query(asked), signal),

  logs: (
    asked: { entity?: string; severity?: number; search?: string; template?: string; trace_id?: string; fields?: string; tenant?: string; limit?: number },
    range: Window,
    signal?: AbortSignal,
  ) => get<LogLine[]>('/api/v1/logs' + query({ ...asked, ...span(range) }), signal),
  patterns: (asked: { entity?: string; severity?: number; tenant?: string; limit?: number }, range: Window, signal?: AbortSignal) =>
    get<{ patterns: Pattern[]; warnings: string[] }>('/api/v1/logs/patterns' + query({ ...asked, ...span(range) }), signal),

  parameters: (template: string, asked: { entity?: string; tenant?: string }, range: Window, signal?: AbortSignal) =>
    get<Parameters>(`/api/v1/logs/patterns/${part(template)}/parameters` + query({ ...asked, ...span(range) }), signal),

  traces: (
    asked: { entity?: string; name?: string; errors?: boolean; min_ms?: string; tenant?: string; limit?: number },
    range: Window,
    signal?: AbortSignal,
  ) => get<Span[]>('/api/v1/traces' + query({ ...asked, ...span(range) }), signal),
  trace: (id: string, tenant: string, signal?: AbortSignal) =>
    get<{ trace_id: string; spans: Span[] }>(`/api/v1/traces/${part(id)}` + query({ tenant }), signal),

  detection: (tenant: string, signal?: AbortSignal) => get<Detection>('/api/v1/detection' + query({ tenant }), signal),
  setBudget: (perWeek: number | null) => ask<{ per_week: number | null }>('POST', '/api/v1/detection/budget', undefined, { per_week: perWeek }),
  missed: (said: { entity: string; metric: string | null; tenant?: string }) =>
    ask<{ entity: string }>('POST', '/api/v1/detection/missed', undefined, said),
  near: (asked: { entity?: string; tenant?: string }, range: Window, signal?: AbortSignal) =>
    get<NearMiss[]>('/api/v1/detection/near' + query({ ...asked, ...span(range) }), signal),
  startReplay: (plan: ReplayPlan) => ask<{ id: string }>('POST', '/api/v1/replays', undefined, plan),
  replay: (id: string, signal?: AbortSignal) => get<Replay>(`/api/v1/replays/${part(id)}`, signal),
  cancelReplay: (id: string) => ask<{ id: string }>('POST', `/api/v1/replays/${part(id)}/cancel`, undefined, {}),

  alerts: (asked: { state?: string; entity?: string; tenant?: string; limit?: number }, signal?: AbortSignal) => get<Alerts>('/api/v1/alerts' + query(asked), signal),
  silences: (tenant: string, signal?: AbortSignal) => get<Silence[]>('/api/v1/silences' + query({ tenant }), signal),
  setSilence: (said: SilenceSaid) => ask<Silence>('POST', '/api/v1/silences', undefined, said),
  endSilence: (id: string) => ask<{ id: string }>('POST', `/api/v1/silences/${part(id)}/end`, undefined, {}),
  previewSilence: (said: SilenceSaid, signal?: AbortSignal) => ask<SilencePreview>('POST', '/api/v1/silences/preview', signal, said),
  routes: (signal?: AbortSignal) => get<RouteTable>('/api/v1/routes', signal),
  setRoutes: (routes: Route[]) => ask<{ routes: Route[] }>('POST', '/api/v1/routes', undefined, { routes }),
  previewRoutes: (routes: Route[], signal?: AbortSignal) => ask<RoutesPreview>('POST', '/api/v1/routes/preview', signal, { routes }),
  deliveries: (asked: { incident?: string; limit?: number }, signal?: AbortSignal) => get<Delivery[]>('/api/v1/deliveries' + query(asked), signal),
  retry: (id: string) => ask<{ id: string }>('POST', `/api/v1/deliveries/${part(id)}/retry`, undefined, {}),
  noise: (range: Window, signal?: AbortSignal) => get<Noise>('/api/v1/noise' + query(span(range)), signal),

  slos: (tenant: string, signal?: AbortSignal) => get<SloRow[]>('/api/v1/slos' + query({ tenant }), signal),
  slo: async (name: string, signal?: AbortSignal) => {
    if (!isPathTrick(name)) return get<SloRow>(`/api/v1/slos/${part(name)}`, signal);
    const row = (await get<SloRow[]>('/api/v1/slos', signal)).find((row) => row.name === name);
    if (!row) throw new ApiError(`no objective ${JSON.stringify(name)}`, 'BELLWETHER-E0405', 'lists show what is there', 404);
    return row;
  },
  /** OpenSLO v1 YAML. */
  checkSlos: (text: string, signal?: AbortSignal) => ask<SlosRead>('POST', '/api/v1/slos/check', signal, text),
  setSlos: (text: string) => ask<SlosRead>('POST', '/api/v1/slos', undefined, text),
  removeSlo: (name: string) => ask<{ name: string }>('POST', `/api/v1/slos/${part(name)}/remove`, undefined, {}),

  sql: (text: string, signal?: AbortSignal) => ask<SqlAnswer>('POST', '/api/v1/sql', signal, { query: text }),

  faults: (signal?: AbortSignal) => get<Fault[]>('/api/v1/demo/faults', signal),
  setFault: (name: string, on: boolean) => ask<Fault>('POST', '/api/v1/demo/faults', undefined, { name, on }),
};
