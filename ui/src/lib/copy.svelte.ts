/** Copying, and short messages that say what happened. */

import { ApiError } from './api';

class Toasts {
  list = $state<{ id: number; text: string; bad: boolean }[]>([]);
}

export const toasts = new Toasts();
let last = 0;

export function toast(text: string, bad = false): void {
  const id = ++last;
  toasts.list.push({ id, text, bad });
  setTimeout(() => (toasts.list = toasts.list.filter((t) => t.id !== id)), bad ? 8000 : 3000);
}

/** What failed, why, and what to do. */
export function toastError(what: string, error: unknown): void {
  const said = ApiError.from(error);
  toast(`${what}: ${said.message}. ${said.hint}`, true);
}

export async function copy(text: string, what: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toast(`Copied: ${what}`);
  } catch {
    toast(`Could not copy ${what}: the browser does not allow it on this page`, true);
  }
}
