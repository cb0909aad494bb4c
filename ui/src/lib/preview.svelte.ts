/** What a form would have done over the last days, asked again a moment after it was last changed. */

import { ApiError } from './api';

const WAIT_MS = 300;

export class Preview<T> {
  answer = $state.raw<T | undefined>(undefined);
  failure = $state.raw<ApiError | undefined>(undefined);
  #of = $state<string | undefined>(undefined);
  #tries = $state(0);
  #asked: () => string | undefined;

  /** `asked` says what stands in the form, `undefined` while that cannot be tried. Make it while a component is set up. */
  constructor(asked: () => string | undefined, ask: (of: string, signal: AbortSignal) => Promise<T>) {
    this.#asked = asked;
    $effect(() => {
      void this.#tries;
      const of = asked();
      if (of === undefined) return;
      const stop = new AbortController();
      const timer = setTimeout(() => {
        ask(of, stop.signal).then(
          (answer) => {
            this.answer = answer;
            this.#of = of;
            this.failure = undefined;
          },
          (reason: unknown) => {
            if (!stop.signal.aborted) this.failure = ApiError.from(reason);
          },
        );
      }, WAIT_MS);
      return () => {
        clearTimeout(timer);
        stop.abort();
      };
    });
  }

  /** The answer is to something else, or still on its way. */
  get stale(): boolean {
    return this.#of === undefined || this.#of !== this.#asked();
  }

  again(): void {
    this.#tries += 1;
  }
}
