/** Earlier incidents that look like one: the same cause, the same kind of cause, the same entities. */

import type { Incident } from './types';

export interface Similar {
  incident: Incident;
  /** 0 to 1. */
  score: number;
  /** What they share, in words. */
  shared: string[];
}

const cause = (incident: Incident) => (incident.undecided ? undefined : incident.causes[0]);

/** The most similar ones that began before, best first. */
export function similar(to: Incident, all: Incident[], most = 5): Similar[] {
  const found: Similar[] = [];
  for (const incident of all) {
    if (incident.id === to.id || incident.tenant !== to.tenant || Date.parse(incident.started_at) >= Date.parse(to.started_at)) continue;
    const [a, b] = [cause(to), cause(incident)];
    const shared: string[] = [];
    let score = 0;
    if (a && b && a.entity === b.entity) {
      score += 0.4;
      shared.push('same place');
    }
    if (a && b && a.kind === b.kind) {
      score += 0.3;
      shared.push('same kind of cause');
    }
    const mine = new Set(to.entities);
    const both = incident.entities.filter((entity) => mine.has(entity)).length;
    const overlap = both / Math.max(1, new Set([...to.entities, ...incident.entities]).size);
    if (overlap > 0) shared.push(both === 1 ? '1 affected in common' : `${both} affected in common`);
    score += 0.3 * overlap;
    if (score >= 0.35) found.push({ incident, score, shared });
  }
  return found.sort((x, y) => y.score - x.score || Date.parse(y.incident.started_at) - Date.parse(x.incident.started_at)).slice(0, most);
}
