/** Names of closed sets, as people read them. */
import type { CauseKind, Priority } from './types';

export const CAUSES: Record<CauseKind, string> = {
  change: 'Change',
  resource: 'Resource',
  software: 'Software fault',
  dependency: 'Dependency',
  traffic: 'Traffic',
  data: 'Data',
  host: 'Host or process',
  model: 'Model',
  external: 'Outside',
};

const MEASURES: Record<string, string> = {
  error_ratio: 'Error ratio',
  latency_ms_p95: 'Latency p95',
  latency_ms_mean: 'Mean latency',
  request_rate: 'Request rate',
  silence: 'Silence',
  metric: 'Metric',
  joint: 'Metrics out of step',
  log_template_new: 'New log pattern',
  log_template_rate: 'Log pattern rate',
  log_value: 'Value in logs',
  log_session: 'Sessions in logs',
  log_errors_rate: 'Error log rate',
  resource: 'Resource',
  cause: 'Cause',
  alert: 'Alert',
  slo_burn: 'Error budget burn',
  model_errors: 'Model errors',
  model_worse: 'Model worse than before',
  model_estimate: 'Estimated accuracy',
  model_data_quality: 'Model data quality',
  model_fairness: 'Model fairness',
  model_input_drift: 'Model input drift',
  model_prediction_drift: 'Model prediction drift',
};

export function measure(name: string): string {
  return MEASURES[name] ?? name;
}

/** How strong a belief is, in words beside the number. */
export function belief(value: number): string {
  if (value >= 0.85) return 'very likely';
  if (value >= 0.6) return 'likely';
  if (value >= 0.35) return 'possible';
  return 'weak';
}

export function evidenceWord(count: number): string {
  return count === 1 ? '1 piece of evidence' : `${count} pieces of evidence`;
}

/** When to look, in two words beside the level. */
const WHEN = ['', 'now', 'soon', 'today', 'no hurry'];

export function priorityText(priority: Priority | undefined): string {
  return priority?.level ? `P${priority.level} ${WHEN[priority.level] ?? ''}`.trim() : '';
}

const REASONS: Record<string, string> = {
  opened: 'it was opened',
  reopened: 'it is back',
  escalated: 'it got worse',
  cause: 'another cause stands first',
  acknowledged: 'somebody has taken it',
  resolved: 'it is over',
  test: 'this is a test',
};

export function reasonText(reason: string): string {
  return REASONS[reason] ?? reason;
}
