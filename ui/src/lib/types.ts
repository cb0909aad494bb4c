/** The shapes of the REST API, as `/api/v1/openapi.json` describes them. Times are RFC 3339 text. */

export type Severity = 'info' | 'warning' | 'major' | 'critical';
export type IncidentState = 'open' | 'acknowledged' | 'resolved';
export type CauseKind =
  | 'change' | 'resource' | 'software' | 'dependency' | 'traffic' | 'data' | 'host' | 'model' | 'external';

export type Evidence =
  | { type: 'series'; series: number; metric: string; from: string; to: string }
  | { type: 'derived'; entity: string; metric: string; from: string; to: string }
  | { type: 'logs'; entity: string; template: number; text: string; sample: string; count: number; from: string; to: string }
  | { type: 'trace'; trace_id: string }
  | { type: 'edge'; source: string; target: string }
  | { type: 'change'; entity: string; kind: string; version: string | null; at: string }
  | { type: 'note'; text: string };

export interface Band {
  mean: number;
  low: number;
  high: number;
}

export interface Finding {
  id: string;
  method: string;
  version: number;
  entity: string;
  shape: string;
  measure: string;
  scope: string;
  start: string;
  end: string;
  ongoing: boolean;
  learned: string;
  belief: number;
  surprise: number;
  impact: number;
  direction: 'up' | 'down' | 'silent' | 'new';
  expected: Band | null;
  observed: number;
  cause: CauseKind | null;
  summary: string;
  evidence: Evidence[];
}

export interface Cause {
  entity: string;
  kind: CauseKind;
  belief: number;
  summary: string;
  evidence: Evidence[];
  against: Evidence[];
}

export interface TimelineEntry {
  at: string;
  kind: string;
  entity: string | null;
  text: string;
  finding: string | null;
}

export interface Incident {
  id: string;
  tenant: string;
  state: IncidentState;
  severity: Severity;
  title: string;
  summary: string;
  started_at: string;
  opened_at: string;
  resolved_at: string | null;
  actor: string | null;
  entities: string[];
  causes: Cause[];
  undecided: boolean;
  missing: string[];
  impact: { dependents: string[]; failed_requests: number; slow_requests: number; requests: number };
  timeline: TimelineEntry[];
  findings: string[];
  finding_details?: Finding[];
}

export type ServiceState = 'healthy' | 'abnormal' | 'silent';

export interface ServiceRow {
  tenant: string;
  entity: string;
  state: ServiceState;
  request_rate: number | null;
  error_ratio: number | null;
  latency_ms_p50: number | null;
  latency_ms_p95: number | null;
  last_seen: string | null;
  incident: string | null;
}

export interface MapEdge {
  source: string;
  target: string;
  kind: 'calls' | 'runs_on';
  first_seen: string;
  last_seen: string;
  count: number;
}

export interface Topology {
  nodes: { entity: string; service: ServiceRow | null }[];
  edges: MapEdge[];
}

export interface Change {
  at: string;
  tenant: string;
  entity: string;
  kind: string;
  version: string | null;
  author?: string | null;
  link?: string | null;
}

export interface ServiceDetail {
  entity: string;
  service: ServiceRow | null;
  calls: MapEdge[];
  called_by: MapEdge[];
  changes: Change[];
  incidents: Incident[];
  findings: Finding[];
  versions: string[];
  instances: string[];
}

export interface SeriesInfo {
  series: number;
  tenant: string;
  metric: string;
  entity: string;
  labels: Record<string, string>;
  kind: string;
  unit: string;
}

/** Milliseconds since 1970, mean, least, greatest. */
export type Point = [number, number | null, number | null, number | null];

export interface SeriesChart {
  series: number;
  info: SeriesInfo | null;
  points: Point[];
}

export interface Points {
  from: string;
  to: string;
  charts: SeriesChart[];
  warnings: string[];
}

/** One place of a template where lines differ. */
export interface Parameter {
  kind: string;
  examples: { value: string; count: number }[];
  distinct: number;
  /** 0 to 1: near 0 a category, near 1 an id. */
  distinct_share: number;
}

export interface Parameters {
  template_id: number;
  template: string;
  lines: number;
  parameters: Parameter[];
}

export interface Contrasts {
  from: string;
  to: string;
  history_from: string;
  /** Series with enough points before the stretch, and how many of them differed. */
  compared: number;
  differed: number;
  left_out: number;
  series: { info: SeriesInfo; contrast: { before: number; within: number | null; surprise: number; direction: 'up' | 'down' | 'silent'; onset: string | null } }[];
  warnings: string[];
}

export interface Outlook {
  step_s: number;
  history: number;
  confidence: number;
  past: [string, number | null][];
  steps: { time: string; mean: number; low: number; high: number }[];
  models: { model: string; weight: number }[];
  seasons_s: number[];
  origins: number;
  notes: string[];
  reach: { threshold: number; rising: boolean; probability: number; by_step: number[]; by: (string | null)[]; notes: string[] } | null;
}

export interface Forecast {
  info: SeriesInfo;
  /** Of the values: totals and amounts are forecast as rates. */
  unit: string;
  from: string;
  now: string;
  to: string;
  outlook: Outlook;
  warnings: string[];
}

export interface MetricName {
  metric: string;
  series: number;
  unit: string;
}

export interface LogLine {
  time: string;
  entity: string;
  severity: number;
  body: string;
  template_id: number;
  template: string;
  attributes: Record<string, unknown> | null;
  resource: Record<string, unknown> | null;
  trace_id: string | null;
  span_id: string | null;
}

export interface Pattern {
  template: string;
  template_id: number;
  entity: string;
  severity: number;
  count: number;
  first: string;
  last: string;
  sample: string;
}

export interface Span {
  time: string;
  duration_ns: number;
  entity: string;
  name: string;
  kind: string;
  status: string;
  trace_id: string;
  span_id: string;
  parent_span_id: string | null;
  attributes: Record<string, unknown> | null;
  resource: Record<string, unknown> | null;
}

export interface SqlAnswer {
  columns: { name: string; type: string }[];
  rows: unknown[][];
  warnings: string[];
}

export interface Status {
  version: string;
  started_at: string;
  uptime_s: number;
  ready: boolean;
  addresses: { listen: string; otlp_grpc: string; otlp_http: string } | null;
  auth: boolean;
  demo: boolean;
  received: Record<'requests' | 'bad_requests' | 'shed_requests' | 'samples' | 'records' | 'spans' | 'events' | 'rejected', number>;
  judged: {
    late_rows: number;
    rows: Record<string, Record<'samples' | 'records' | 'spans' | 'events', number>>;
  };
  live: { step: number; now: string; lag_s: number; lag_batches: number };
  store: Record<string, unknown> & { unavailable?: string | null; damage?: string[] };
}

export interface Fault {
  name: string;
  service: string;
  kind: CauseKind;
  on: boolean;
  summary: string;
}

/** How often one service is spoken of, beside the budget. */
export interface Rate {
  tenant: string;
  entity: string;
  days: number;
  said_per_week: number;
  unconfirmed_per_week: number;
  dismissed_per_week: number;
  held_back_per_week: number;
  budget_per_week: number | null;
  needed_surprise: number;
  /** `null`: no budget, or too short a history to tell. */
  holds: boolean | null;
  says: string;
}

/** What verdicts of people have moved; an empty measure or scope means any. */
export interface Correction {
  tenant: string;
  entity: string;
  measure: string;
  scope: string;
  needed: number;
  ease: number;
  at: string;
  verdicts: number;
}

export interface Detection {
  budget_per_week: number | null;
  rates: Rate[];
  corrections: Correction[];
}

export interface NearMiss {
  method: string;
  tenant: string;
  entity: string;
  measure: string;
  scope: string;
  at: string;
  surprise: number;
  /** 0 where it was not surprise that it lacked. */
  needed: number;
  why: string;
}

export type Settings = Record<string, Record<string, number>>;

export interface ReplayPlan {
  from: string;
  to: string;
  settings: Settings;
  /** `null`: the running one; 0: no limit. */
  budget_per_week: number | null;
  entity: string | null;
}

export interface ReplayReport {
  from: string;
  to: string;
  learned_from: string;
  rows: number;
  findings_total: number;
  findings: Finding[];
  incidents: Incident[];
  near: NearMiss[];
  rates: Rate[];
  warnings: string[];
}

export interface Replay {
  state: 'running' | 'done' | 'failed';
  /** 0 to 1. */
  done: number;
  plan?: ReplayPlan;
  report?: ReplayReport;
  error?: string;
}

export interface JournalRow {
  number?: number;
  at: string;
  kind: string;
  subject: string;
}
