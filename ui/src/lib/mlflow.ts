/** MLflow's own REST interface, which the server speaks: experiments, runs, registered models and their files. */

import { ask, fetchFile, query, type Query } from './api';
import { count, percent } from './format';
import type { Gate, Move, Point } from './types';

export interface Tag {
  key: string;
  value?: string;
}

export type RunStatus = 'RUNNING' | 'SCHEDULED' | 'FINISHED' | 'FAILED' | 'KILLED';
export type VersionStatus = 'READY' | 'PENDING_REGISTRATION' | 'FAILED_REGISTRATION';

export interface Experiment {
  experiment_id: string;
  name: string;
  lifecycle_stage?: string;
  creation_time?: number;
  last_update_time?: number;
  tags?: Tag[];
}

/** `value` is a text where it is not a number. */
export interface Metric {
  key: string;
  value: number | string;
  timestamp: number;
  step: number;
}

export interface DatasetInput {
  tags?: Tag[];
  dataset: { name: string; digest: string; source_type?: string; source?: string; schema?: string; profile?: string };
}

export interface Run {
  info: { run_id: string; run_name?: string; experiment_id: string; user_id?: string; status: RunStatus; start_time?: number; end_time?: number; artifact_uri?: string; lifecycle_stage?: string };
  data?: { metrics?: Metric[]; params?: Tag[]; tags?: Tag[] };
  inputs?: { dataset_inputs?: DatasetInput[] };
  outputs?: { model_outputs?: { model_id: string; step?: number }[] };
}

export interface Version {
  name: string;
  version: string;
  creation_timestamp?: number;
  last_updated_timestamp?: number;
  current_stage?: string;
  description?: string;
  source?: string;
  run_id?: string;
  status?: VersionStatus;
  status_message?: string;
  tags?: Tag[];
}

export interface Model {
  name: string;
  creation_timestamp?: number;
  last_updated_timestamp?: number;
  description?: string;
  latest_versions?: Version[];
  tags?: Tag[];
  aliases?: { alias: string; version: string }[];
}

export interface LoggedModel {
  info: { model_id: string; name: string; status?: string; model_type?: string; artifact_uri?: string; creation_timestamp_ms?: number; source_run_id?: string };
}

export interface FileInfo {
  path: string;
  is_dir?: boolean;
  file_size?: number;
}

interface Asked {
  filter?: string | undefined;
  max_results?: number;
  page_token?: string | undefined;
}

const BASE = '/ajax-api/2.0/mlflow/';
const FILES = '/ajax-api/2.0/mlflow-artifacts/artifacts';

const get = <T>(path: string, asked: Query, signal?: AbortSignal) => ask<T>('GET', BASE + path + query(asked), signal);
const post = <T>(path: string, body: unknown, signal?: AbortSignal) => ask<T>('POST', BASE + path, signal, body);

export const mlflow = {
  experiments: (asked: Asked, signal?: AbortSignal) =>
    post<{ experiments?: Experiment[]; next_page_token?: string }>('experiments/search', { max_results: 25, order_by: ['last_update_time DESC'], ...asked }, signal),
  experiment: (id: string, signal?: AbortSignal) => get<{ experiment: Experiment }>('experiments/get', { experiment_id: id }, signal),
  runs: (asked: Asked & { experiment_ids: string[]; order_by?: string[] }, signal?: AbortSignal) =>
    post<{ runs?: Run[]; next_page_token?: string }>('runs/search', asked, signal),
  run: async (id: string, signal?: AbortSignal) => (await get<{ run: Run }>('runs/get', { run_id: id }, signal)).run,
  /** At most `max_results` values a run, evenly chosen. */
  history: (runs: string[], key: string, signal?: AbortSignal) =>
    ask<{ metrics?: (Metric & { run_id: string })[] }>(
      'GET',
      `${BASE}metrics/get-history-bulk-interval${query({ metric_key: key, max_results: 500 })}${runs.map((run) => `&run_ids=${encodeURIComponent(run)}`).join('')}`,
      signal,
    ),
  models: (asked: Asked, signal?: AbortSignal) =>
    get<{ registered_models?: Model[]; next_page_token?: string }>('registered-models/search', { max_results: 25, ...asked }, signal),
  model: async (name: string, signal?: AbortSignal) => (await get<{ registered_model: Model }>('registered-models/get', { name }, signal)).registered_model,
  versions: (asked: Asked, signal?: AbortSignal) =>
    get<{ model_versions?: Version[]; next_page_token?: string }>('model-versions/search', { max_results: 50, order_by: 'version_number DESC', ...asked }, signal),
  version: async (name: string, version: string, signal?: AbortSignal) =>
    (await get<{ model_version: Version }>('model-versions/get', { name, version }, signal)).model_version,
  /** Where a version's files lie. */
  place: async (name: string, version: string, signal?: AbortSignal) =>
    (await get<{ artifact_uri?: string }>('model-versions/get-download-uri', { name, version }, signal)).artifact_uri ?? '',
  loggedModels: (experiment: string, filter: string, signal?: AbortSignal) =>
    post<{ models?: LoggedModel[] }>('logged-models/search', { experiment_ids: [experiment], filter }, signal),
  loggedModel: async (id: string, signal?: AbortSignal) => (await get<{ model: LoggedModel }>(`logged-models/${encodeURIComponent(id)}`, {}, signal)).model,
  setAlias: (name: string, alias: string, version: string) => post<object>('registered-models/alias', { name, alias, version }),
  removeAlias: (name: string, alias: string) => ask<object>('DELETE', `${BASE}registered-models/alias`, undefined, { name, alias }),
  files: (folder: string, signal?: AbortSignal) => ask<{ files?: FileInfo[] }>('GET', FILES + query({ path: folder }), signal),
  text: async (path: string, signal?: AbortSignal) => (await fetchFile(fileHref(path), signal)).text(),
};

export const modelPath = (name: string, version = '') => `/models/${encodeURIComponent(name)}${version ? `?version=${encodeURIComponent(version)}` : ''}`;
export const experimentPath = (id: string) => `/experiments/${encodeURIComponent(id)}`;
export const runPath = (id: string) => `/runs/${encodeURIComponent(id)}`;
export const fileHref = (path: string) => `${FILES}/${path.split('/').map(encodeURIComponent).join('/')}`;

/** The folder that an address names on this server; nothing where files lie elsewhere. */
export function folderOf(uri: string | undefined): string | undefined {
  return /^mlflow-artifacts:(?:\/\/[^/]*)?\/*(.+)$/.exec(uri ?? '')?.[1];
}

/** A text as MLflow's filters write it. They know no escapes: nothing where it holds both kinds of quotes. */
export function quoted(text: string): string | undefined {
  if (!text.includes("'")) return `'${text}'`;
  return text.includes('"') ? undefined : `"${text}"`;
}

/** Finds names that hold a text; a text with both kinds of quotes is cut before the second. */
export function nameFilter(text: string): string | undefined {
  if (!text) return undefined;
  const part = text.includes("'") ? (text.split('"')[0] ?? '') : text;
  return `name ILIKE ${quoted(`%${part}%`)}`;
}

/** A metric, parameter or tag as filters and orders name it. */
export function keyed(entity: string, key: string): string {
  return key.includes('`') ? `${entity}."${key}"` : `${entity}.\`${key}\``;
}

export function tagOf(tags: Tag[] | undefined, key: string): string {
  return tags?.find((tag) => tag.key === key)?.value ?? '';
}

/** Without the tags that clients set by themselves. */
export function ownTags(tags: Tag[] | undefined): Tag[] {
  return (tags ?? []).filter((tag) => !tag.key.startsWith('mlflow.'));
}

export const runName = (run: Run) => run.info.run_name || run.info.run_id;
export const userOf = (run: Run) => run.info.user_id || tagOf(run.data?.tags, 'mlflow.user');

/** Infinity travels as the largest number. */
const INFINITE = 1.797e308;

/** A metric's value; NaN and infinity are no place on a chart. */
export function placed(value: number | string): number | null {
  const number = Number(value);
  return Number.isFinite(number) && Math.abs(number) < INFINITE ? number : null;
}

export function metricText(value: number | string | undefined): string {
  if (value === undefined) return '–';
  const number = Number(value);
  if (Number.isNaN(number)) return 'NaN';
  if (Math.abs(number) >= INFINITE) return number > 0 ? '∞' : '−∞';
  const short = Number(number.toPrecision(5));
  const size = Math.abs(short);
  return size !== 0 && (size >= 1e9 || size < 1e-4) ? short.toExponential() : short.toLocaleString('en-US', { maximumSignificantDigits: 5 });
}

/** Milliseconds as a text for {@link Date}; nothing where no date can be that far away. */
export function isoOf(ms: number | undefined): string | undefined {
  return ms && Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : undefined;
}

/** Whether less of it is better, as far as its name says. */
const isLess = (key: string) => /(^|[^a-z])(logloss|loss|error|err|rmse|mse|mae|mape|perplexity|latency|duration|time)(?![a-z])/i.test(key);

/** The best value of the metric that most runs have. */
export function best(runs: Run[]): { key: string; value: number; word: string } | undefined {
  const [key] = frequent(runs.map((run) => (run.data?.metrics ?? []).map((m) => m.key)));
  if (!key) return undefined;
  const values = runs.flatMap((run) => (run.data?.metrics ?? []).filter((m) => m.key === key).map((m) => placed(m.value))).filter((v) => v !== null);
  if (!values.length) return undefined;
  return isLess(key) ? { key, value: Math.min(...values), word: 'lowest' } : { key, value: Math.max(...values), word: 'highest' };
}

/** Keys of all lists, those in most lists first. */
export function frequent(lists: string[][]): string[] {
  const counts = new Map<string, number>();
  for (const list of lists) for (const key of list) counts.set(key, (counts.get(key) ?? 0) + 1);
  return [...counts].sort(([a, n], [b, m]) => m - n || (a < b ? -1 : 1)).map(([key]) => key);
}

/** Values as points over steps, or over milliseconds since `start`; the last of each place, gaps where it is no number. */
export function pointsOf(metrics: Metric[], by: 'step' | 'time', start: number): Point[] {
  const places = new Map<number, number | null>();
  for (const metric of metrics) places.set(by === 'step' ? Number(metric.step) : Number(metric.timestamp) - start, placed(metric.value));
  return [...places].sort(([a], [b]) => a - b).map(([x, value]) => [x, value, null, null]);
}

/** Files that a client would run when it loads them. */
export const isPickle = (path: string) => /\.(pkl|pickle|joblib|cloudpickle|dill)$/i.test(path) || /cloudpickle/i.test(path);

/** Files that are shown as text. */
export function isText(path: string): boolean {
  const name = path.slice(path.lastIndexOf('/') + 1);
  return /\.(txt|md|rst|json|jsonl|ya?ml|toml|ini|cfg|conf|csv|tsv|log|py|r|sql|sh|xml|html?|svg|env|requirements)$/i.test(name) || /^(MLmodel|README|LICENSE|Dockerfile)$/i.test(name);
}

/** A gate in words. */
export function gateText(gate: Gate): string {
  const wants = [
    gate.at_least === null ? '' : `${gate.metric} at least ${gate.at_least}`,
    gate.at_most === null ? '' : `${gate.metric} at most ${gate.at_most}`,
    gate.not_worse_by === null ? '' : `${gate.metric} worse than that of the version in use by ${gate.not_worse_by} at most${gate.same_data ? ', on the same data' : ''}`,
    gate.rows ? `${count(gate.rows)} rows predicted` : '',
    gate.labels ? `${count(gate.labels)} labels against the version before it` : '',
    gate.agreement === null ? '' : `${percent(gate.agreement)} said, as a shadow, as was answered`,
    gate.error_above === null ? '' : `mean error above that of the version before it by ${gate.error_above} at most`,
    gate.without.length ? `without ${gate.without.join(', ')}` : '',
    gate.approvals ? `${gate.approvals} ${gate.approvals === 1 ? 'approval' : 'approvals'} by others than who registered it` : '',
  ];
  return `${wants.filter(Boolean).join('; ')}, before ${gate.before.join(', ')}`;
}

/** A move in words. */
export function moveText({ what, before, after }: Move): string {
  const use = before === after ? '' : after === null ? '; none is in use now' : `; version ${after} is in use now`;
  switch (what.kind) {
    case 'registered': return `Version ${what.version} was registered${use}`;
    case 'removed': return `Version ${what.version} was removed${use}`;
    case 'approved': return `Version ${what.version} was approved`;
    case 'stage': return `Version ${what.version} went from stage ${what.from} to ${what.to}${use}`;
    case 'alias':
      if (what.to === null) return `Alias ${what.alias}, which meant version ${what.from}, was removed${use}`;
      return `Alias ${what.alias} means version ${what.to}${what.from === null ? '' : `, no longer ${what.from}`}${use}`;
  }
}
