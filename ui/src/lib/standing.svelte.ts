/** How all objectives stand, asked again with the clock. */

import { api } from './api';
import { load, type Load } from './load.svelte';
import { route } from './router.svelte';
import { byNeed, stateOf, type Standing } from './slos';
import { clock } from './time.svelte';
import type { Finding, SloRow } from './types';

const DAY = 864e5;

class Standings {
  constructor(
    readonly answer: Load<SloRow[]>,
    readonly said: Load<Finding[]>,
  ) {}

  /** Nothing is there to show yet. */
  get first(): boolean {
    return this.answer.first || (this.said.first && !!this.answer.data?.length);
  }

  /** What needs a look first. */
  readonly list = $derived.by((): Standing[] => {
    const burning = new Map((this.said.data ?? []).filter((f) => f.measure === 'slo_burn').map((f) => [f.scope, f]));
    const standing = (row: SloRow) => {
      const burns = burning.get(row.name);
      return { row, burns, state: stateOf(row, burns) };
    };
    return (this.answer.data ?? []).map(standing).sort(byNeed);
  });
}

/** Call it while a component is set up. */
export function standings(): Standings {
  const answer = load((signal) => {
    void clock.now;
    return api.slos(route.get('tenant'), signal);
  });
  // What goes on ends now; the clocks of browser and server may differ.
  const said = load((signal) => (answer.data?.length ? api.findings({ ongoing: true, tenant: route.get('tenant'), limit: 2000 }, { from: clock.now - DAY, to: clock.now + DAY }, signal) : undefined));
  return new Standings(answer, said);
}
