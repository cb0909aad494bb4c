/** Asking the server, with what came before kept on the screen until the answer is there. */

import { ApiError } from './api';

export class Load<T> {
  data = $state.raw<T | undefined>(undefined);
  error = $state.raw<ApiError | undefined>(undefined);
  loading = $state(true);

  /** Nothing is there to show yet. */
  get first(): boolean {
    return this.data === undefined && this.error === undefined;
  }
}

/**
 * Runs `ask` now and whenever the state that it reads (before its first `await`) changes. Call it while a component
 * is set up. An answer that comes after a newer question is dropped. `undefined` from `ask` means: do not ask.
 */
export function load<T>(ask: (signal: AbortSignal) => Promise<T> | undefined): Load<T> {
  const result = new Load<T>();
  $effect(() => {
    const stop = new AbortController();
    const promise = ask(stop.signal);
    if (!promise) {
      result.loading = false;
      return;
    }
    result.loading = true;
    promise.then(
      (data) => {
        if (stop.signal.aborted) return;
        result.data = data;
        result.error = undefined;
        result.loading = false;
      },
      (error: unknown) => {
        if (stop.signal.aborted) return;
        result.error = ApiError.from(error);
        result.loading = false;
      },
    );
    return () => stop.abort();
  });
  return result;
}
