/** Where requests that hold a certain value can be looked at. */

import { entity } from './format';
import type { ServiceRow } from './types';

/** Bad requests that are needed before anything is said, as the server holds it. */
export const BAD_LEAST = 3;

/** An attribute of a request, and whose it is where it is not the asked service's own. */
export function owner(attribute: string, services: ServiceRow[]): { entity: string; name: string } {
  const slash = attribute.indexOf('/');
  const found = slash > 0 ? services.find((s) => entity(s.entity).name === attribute.slice(0, slash)) : undefined;
  return found ? { entity: found.entity, name: attribute.slice(slash + 1) } : { entity: '', name: attribute };
}

/** The explore page with the traces of a stretch of time that hold a value. */
export function tracesLink(attribute: string, value: string, asked: { entity: string; from: number; to: number; tenant: string }, services: ServiceRow[]): string {
  const { entity: other, name } = owner(attribute, services);
  const query = new URLSearchParams({ tab: 'traces' });
  const whose = other || asked.entity;
  if (whose) query.set('entity', whose);
  if (name === 'operation') query.set('q', value);
  else query.set('fields', JSON.stringify([[name, value, true]]));
  if (asked.tenant) query.set('tenant', asked.tenant);
  query.set('from', new Date(Math.round(asked.from)).toISOString());
  query.set('to', new Date(Math.round(asked.to)).toISOString());
  return `/explore?${query}`;
}
