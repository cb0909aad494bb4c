/** Alerts of other programs: their groups, the conditions that speak of them, and how they are sent here. */

import { entity } from './format';
import type { Alert } from './types';

/** All instances of one rule at one entity. */
export interface AlertGroup {
  key: string;
  name: string;
  entity: string;
  severity: string;
  summary: string;
  alerts: Alert[];
  /** How many fire, silenced ones too. */
  firing: number;
  silenced: number;
  flapping: boolean;
  starts_at: string;
  incident: string | null;
  received: number;
}

/** What fires and is not silenced first, then what began last. */
export function groupAlerts(alerts: Alert[]): AlertGroup[] {
  const groups = new Map<string, AlertGroup>();
  for (const alert of alerts) {
    const key = `${alert.tenant}\n${alert.name}\n${alert.entity}`;
    const group = groups.get(key) ?? {
      key, name: alert.name, entity: alert.entity, severity: alert.severity, summary: alert.summary, alerts: [],
      firing: 0, silenced: 0, flapping: false, starts_at: alert.starts_at, incident: null, received: 0,
    };
    group.alerts.push(alert);
    group.firing += alert.firing ? 1 : 0;
    group.silenced += alert.firing && alert.silenced_by ? 1 : 0;
    group.flapping ||= alert.flapping;
    group.incident ??= alert.incident;
    group.received += alert.received;
    if (alert.starts_at > group.starts_at) group.starts_at = alert.starts_at;
    groups.set(key, group);
  }
  return [...groups.values()].sort((a, b) => rank(b) - rank(a) || b.starts_at.localeCompare(a.starts_at) || a.key.localeCompare(b.key));
}

export function groupState(group: AlertGroup): 'firing' | 'silenced' | 'ended' {
  if (!group.firing) return 'ended';
  return group.silenced === group.firing ? 'silenced' : 'firing';
}

function rank(group: AlertGroup): number {
  return { firing: 2, silenced: 1, ended: 0 }[groupState(group)];
}

/** Conditions that hold for an entity, and for alerts about it whatever their labels say. */
export function entityMatchers(id: string, labels: Record<string, string> = {}): string[] {
  const { kind, name } = entity(id);
  const said = labels[kind];
  return [said === undefined || said === name ? `${kind}=${name}` : `entity=${id}`];
}

export function groupMatchers(group: AlertGroup): string[] {
  return [`alertname=${group.name}`, ...entityMatchers(group.entity, group.alerts[0]?.labels)];
}

/** Labels that tell the alerts of a group apart, and those that all have. */
export function otherLabels(alert: Alert): [string, string][] {
  return Object.entries(alert.labels).filter(([name]) => !['alertname', 'severity', entity(alert.entity).kind].includes(name));
}

/** As the server reads a condition: `label=value`, `label!=value`, `label~pat*` or `label!~pat*`. */
export function isMatcher(text: string): boolean {
  return /^\s*[^=~!\s]+\s*(!=|!~|=|~)(?!\s*[=~])/.test(text);
}

/** Conditions from a field: one a line or between commas. */
export function readMatchers(text: string): string[] {
  return text.split(/[\n,]/).map((line) => line.trim()).filter(Boolean);
}

export const SEVERITY_WORDS = ['info', 'warning', 'major', 'critical'] as const;

/** What Prometheus and Alertmanager need to send their alerts here. */
export function senders(web: string, auth: boolean): { prometheus: string; alertmanager: string; curl: string } {
  const url = new URL(web);
  const scheme = url.protocol.replace(':', '');
  const prometheus = [
    'alerting:', '  alertmanagers:', ...(scheme === 'https' ? ['    - scheme: https', '      static_configs:'] : ['    - static_configs:']),
    `        - targets: ["${url.host}"]`, ...(auth ? ['      authorization:', '        credentials: YOUR_TOKEN'] : []),
  ];
  const alertmanager = [
    'receivers:', '  - name: bellwether', '    webhook_configs:', `      - url: ${web}/api/v1/webhooks/alertmanager`, '        send_resolved: true',
    ...(auth ? ['        http_config:', '          authorization:', '            credentials: YOUR_TOKEN'] : []),
    '', 'route:', '  routes:', '    - receiver: bellwether', '      continue: true',
  ];
  const curl = `curl -sS ${web}/api/v2/alerts -H 'content-type: application/json'${auth ? " -H 'authorization: Bearer YOUR_TOKEN'" : ''} -d '[{"labels":{"alertname":"TryIt","service":"hello","severity":"warning"},"annotations":{"summary":"sent by hand"}}]'`;
  return { prometheus: prometheus.join('\n'), alertmanager: alertmanager.join('\n'), curl };
}
