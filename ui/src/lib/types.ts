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
  incident?: string | null;
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

/** How soon somebody should look; level 1 (now) to 4, 0 where nothing was said yet. */
export interface Priority {
  level: number;
  reason: string;
}

export interface Incident {
  id: string;
  tenant: string;
  state: IncidentState;
  severity: Severity;
  priority?: Priority;
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
  impact: { dependents: string[]; failed_requests: number; slow_requests: number; requests: number; users?: { count: number; at_least: boolean; attribute: string } | null };
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

/** Which service is why a stretch went otherwise than the time before it. */
export interface Suspected {
  from: string;
  to: string;
  requests_from: string;
  series_from: string;
  /** By what services did for requests; numbers of traces before and within. */
  requests: {
    before: number;
    within: number;
    undecided: boolean;
    suspects: { entity: string; kind: string; belief: number; reasons: string[]; leaves: [string | null, string] | null }[];
  };
  /** By where the extra of one entity's measure arises along the calls. */
  series: {
    entity: string;
    measure: string;
    surprise: number;
    undecided: boolean;
    suspects: { entity: string; belief: number; reasons: string[] }[];
    step_s: number;
    before: number;
    within: number;
  } | null;
  warnings: string[];
}

/** A value that bad requests have more often than good ones. */
export interface Apart {
  attribute: string;
  value: string;
  bad_with: number;
  bad: number;
  good_with: number;
  good: number;
  surprise: number;
  /** Other values of the very same requests: `attribute=value`. */
  same: string[];
}

export interface ApartAnswer {
  from: string;
  to: string;
  requests: number;
  bad: number;
  values: Apart[];
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

/** An earlier incident that looks like another. */
export interface Similar {
  id: string;
  title: string;
  severity: Severity;
  started_at: string;
  resolved_at: string | null;
  /** 0 to 1. */
  score: number;
  shared: string[];
  ended_by: string[];
}

/** An alert of another program. */
export interface Alert {
  tenant: string;
  fingerprint: string;
  entity: string;
  name: string;
  severity: string;
  labels: Record<string, string>;
  summary: string;
  url: string | null;
  starts_at: string;
  ends_at: string | null;
  firing: boolean;
  flapping: boolean;
  silenced_by: string | null;
  heard_at: string;
  received: number;
  flipped_at: string[];
  incident: string | null;
}

/** Since the data folder was made. */
export type AlertCounts = Record<'received' | 'fired' | 'repeated' | 'resolved' | 'resolved_unknown' | 'over_limit' | 'expired' | 'silenced', number>;
export type NoticeCounts = Record<'notices' | 'spared', number>;

export interface Alerts {
  alerts: Alert[];
  total: number;
  counts: AlertCounts;
}

export interface Silence {
  id: string;
  tenant: string;
  matchers: string[];
  starts_at: string;
  ends_at: string;
  comment: string;
  actor: string | null;
  kept_quiet: number;
  state: 'active' | 'planned' | 'over';
}

/** As a person makes one: either `ends_at` or `lasts` (`30m`, `2h`, `1d`). */
export interface SilenceSaid {
  id?: string;
  matchers: string[];
  starts_at?: string;
  ends_at?: string;
  lasts?: string;
  comment: string;
}

export type Short = Pick<Incident, 'id' | 'title' | 'severity' | 'opened_at'>;

export interface SilencePreview {
  from: string;
  to: string;
  findings: number;
  kept_quiet: number;
  incidents: number;
  incidents_smaller: number;
  incidents_not_opened: Short[];
  alerts_now: number;
  alerts_firing_now: number;
  examples: { at: string; entity: string; summary: string }[];
}

export interface Route {
  name: string;
  matchers: string[];
  min_severity: Severity;
  channels: string[];
  wait_s: number;
  updates: boolean;
  goes_on: boolean;
}

export interface RouteTable {
  routes: Route[];
  channels: string[];
  counts: NoticeCounts;
}

export interface RoutesPreview {
  from: string;
  to: string;
  incidents: number;
  routes: { route: string; channels: string[]; incidents: number; examples: Short[] }[];
  told_to_nobody: number;
  examples_told_to_nobody: Short[];
}

export interface Delivery {
  id: string;
  at: string;
  route: string;
  channel: string;
  reason: string;
  incident: Short;
  state: 'due' | 'sending' | 'delivered' | 'dead' | 'unknown';
  attempts: number;
  next_at: string;
  outcome: string;
  updated_at: string;
}

export interface Noise {
  from: string;
  to: string;
  findings: number;
  incidents: number;
  findings_in_incidents: number;
  dismissed: number;
  alerts: AlertCounts;
  notices: NoticeCounts;
  loudest: { entity: string; measure: string; scope: string; count: number }[];
  flapping: { entity: string; name: string; flips: number; flapping: boolean; received: number; labels: Record<string, string> }[];
  silences: { id: string; matchers: string[]; kept_quiet: number }[];
}

/** Which series of a tenant are meant. */
export interface Selector {
  metric: string;
  matchers: { label: string; operator: 'is' | 'is_not' | 'fits' | 'fits_not'; value: string }[];
}

/** Which events count, and which of them are good. */
export type Indicator =
  | { type: 'requests' }
  | { type: 'latency'; threshold_ms: number }
  | { type: 'ratio'; part: { good: Selector } | { bad: Selector }; total: Selector };

/** A promise about a service. */
export interface Slo {
  name: string;
  tenant: string;
  service: string;
  description: string;
  /** 0 to 1. */
  target: number;
  window_ns: number;
  indicator: Indicator;
  enabled: boolean;
}

/** How an objective stands. */
export interface SloStatus {
  name: string;
  tenant: string;
  at: string;
  entity: string | null;
  good: number;
  total: number;
  ratio: number | null;
  /** At most 1; negative where more was spent than there is. */
  budget_left: number | null;
  burn: { window_ns: number; rate: number | null }[];
  exhausted_at: string | null;
  since: string | null;
  is_enough: boolean;
  missing: string | null;
}

export interface SloRow extends Slo {
  status: SloStatus | null;
}

/** What was read of a text. */
export interface SlosRead {
  slos: Slo[];
  notes: string[];
}

/** How a model answers. */
export interface Serving {
  model: string;
  in_use: string | null;
  versions: {
    version: string;
    phase: Phase;
    state: 'loaded' | 'on request' | 'cannot be run' | 'out of service';
    reason: string | null;
    /** What was seen of it while it answered; `error_above`: its mean error less that of the version before it. */
    observed: { rows: number; labels: number; error_above: number | null; agreement: number | null } | null;
    counts?: { answered: number; refused: number; rows: number; mean_ms: number | null; last: string | null };
  }[];
  gates: Gate[];
  /** The version that answers a share of the requests, and the one that is asked beside the answer. */
  canary: { version: string; percent: number } | null;
  shadow: string | null;
  rollout: { name: string; version: string | null; waits_for: string | null } | null;
}

/** Where a version is in its life. */
export type Phase = 'trained' | 'shadow' | 'canary' | 'live' | 'retired';

/** What a version must show before an alias or a stage may mean it. */
export interface Gate {
  name: string;
  before: string[];
  metric: string | null;
  at_least: number | null;
  at_most: number | null;
  not_worse_by: number | null;
  same_data: boolean;
  approvals: number;
  rows: number;
  labels: number;
  agreement: number | null;
  error_above: number | null;
  without: string[];
}

/** What became of a version. */
export interface Move {
  number: number;
  at: string;
  by: string;
  what:
    | { kind: 'registered' | 'removed' | 'approved'; version: number }
    | { kind: 'alias'; alias: string; from: number | null; to: number | null }
    | { kind: 'stage'; version: number; from: string; to: string };
  before: number | null;
  after: number | null;
  gates: string[];
  /** Why, where nobody did it by hand. */
  why: string;
}

/** The columns of a version's predictions, then and now. */
export interface ColumnsAnswer {
  model: string;
  version: string | null;
  reference: Rows;
  window: Rows;
  /** Those that drifted first. */
  columns: ModelColumn[];
  warnings: string[];
}

export interface Rows {
  rows: number;
  from: string | null;
  to: string | null;
}

export interface ModelColumn {
  name: string;
  of: 'input' | 'prediction' | 'probability';
  kind: 'number' | 'text';
  distance: number | null;
  measure: string;
  drifted: boolean;
  chance: number | null;
  effect: string;
  missing: { reference: number; window: number };
  bins: Bin[];
}

/** Numbers from one up to another, the same where it is one number, or a text; and the shares of rows that have it. */
export type Bin = ({ from: number; to: number } | { value: string }) & { reference: number; window: number };

/** When a model was trained again, newest first, and the policy that says when it is. */
export interface Trainings {
  trainings: Training[];
  policy: { name: string; with: string; on: string[]; max_age_h: number | null; rows: number | null; pause_h: number } | null;
}

export interface Training {
  number: number;
  by: string;
  why: string;
  at: string;
  ended: string | null;
  stage: 'intended' | 'running' | 'succeeded' | 'failed' | 'unknown';
  said: string;
  version: number | null;
}
