/** The budget of false events, as text and as a deed. */
import { api } from './api';
import { toast, toastError } from './copy.svelte';
import { refreshSoon } from './time.svelte';

/** As the server allows it. */
export const MOST_A_WEEK = 10_000;

export function budgetText(perWeek: number | null | undefined): string {
  return perWeek ? `at most ${perWeek} false ${perWeek === 1 ? 'event' : 'events'} a week for each service` : 'no limit';
}

/** Sets it, says what came of it, and asks again when the server has taken it in. */
export async function setBudget(perWeek: number | null): Promise<boolean> {
  try {
    await api.setBudget(perWeek || null);
    toast(perWeek ? `Budget set: ${budgetText(perWeek)}` : 'Budget taken off: no limit');
    refreshSoon();
    return true;
  } catch (error) {
    toastError('The budget was not set', error);
    return false;
  }
}
