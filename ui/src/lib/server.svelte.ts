/** What every page needs to know of the server; asked for once, by the frame. */

import type { ApiError } from './api';
import type { Incident, Status } from './types';

class Server {
  status = $state.raw<Status | undefined>(undefined);
  error = $state.raw<ApiError | undefined>(undefined);
  /** Incidents that are not resolved, newest first. */
  open = $state.raw<Incident[] | undefined>(undefined);
  openError = $state.raw<ApiError | undefined>(undefined);

  /** Rows taken in from outside since the data folder was made. */
  get rows(): Record<'samples' | 'records' | 'spans' | 'events', number> {
    const sum = { samples: 0, records: 0, spans: 0, events: 0 };
    for (const [tenant, rows] of Object.entries(this.status?.judged.rows ?? {})) {
      if (tenant === '_self') continue;
      for (const name of ['samples', 'records', 'spans', 'events'] as const) sum[name] += rows[name] ?? 0;
    }
    return sum;
  }

  get received(): boolean {
    const { samples, records, spans, events } = this.rows;
    return samples + records + spans + events > 0;
  }
}

export const server = new Server();
