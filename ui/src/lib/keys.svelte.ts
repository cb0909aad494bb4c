/** The keyboard: single keys and two-key sequences, off while somebody types. */

type Action = (event: KeyboardEvent) => void;

interface Binding {
  keys: string;
  action: Action;
}

const bindings: Binding[] = [];
let pending = '';
let timer: ReturnType<typeof setTimeout> | undefined;

/** Binds keys (`j`, `g n`, `ctrl+k`) while a component lives. */
export function keys(map: Record<string, Action>): void {
  $effect(() => {
    const added = Object.entries(map).map(([text, action]) => ({ keys: text, action }));
    bindings.unshift(...added);
    return () => {
      for (const binding of added) bindings.splice(bindings.indexOf(binding), 1);
    };
  });
}

export function startKeys(): () => void {
  addEventListener('keydown', press);
  return () => removeEventListener('keydown', press);
}

function press(event: KeyboardEvent): void {
  if (event.defaultPrevented) return;
  const control = event.ctrlKey || event.metaKey;
  if (event.altKey || (control && event.key.toLowerCase() !== 'k')) return;
  const key = control ? `ctrl+${event.key.toLowerCase()}` : event.key;
  // An open dialog keeps its keys, above all Escape; a field keeps all but Escape.
  if (document.querySelector('dialog[open]')) return;
  if (!control && key !== 'Escape' && typing(event.target)) return;
  // Enter and space belong to the control that has the focus.
  if ((key === 'Enter' || key === ' ') && (event.target as Element).closest('a, button, summary, [role=tab]')) return;
  const sequence = pending ? `${pending} ${key}` : key;
  const found = bindings.find((b) => b.keys === sequence) ?? (pending ? undefined : bindings.find((b) => b.keys === key));
  clearTimeout(timer);
  pending = '';
  if (found) {
    event.preventDefault();
    found.action(event);
    return;
  }
  if (bindings.some((b) => b.keys.startsWith(`${key} `))) {
    pending = key;
    timer = setTimeout(() => {
      const single = bindings.find((b) => b.keys === `${pending} .`);
      pending = '';
      single?.action(event);
    }, 600);
  }
}

function typing(target: EventTarget | null): boolean {
  const element = target as HTMLElement | null;
  return !!element?.closest?.('input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable=true]');
}

/** Moves a row mark with `j` and `k`; `Enter` opens. Returns the marked row, -1 for none. */
export class Rows {
  at = $state(-1);

  move(step: number, length: number): void {
    if (!length) return;
    this.at = Math.max(0, Math.min(length - 1, this.at < 0 ? (step > 0 ? 0 : length - 1) : this.at + step));
    requestAnimationFrame(() => document.querySelector('.row.at')?.scrollIntoView({ block: 'nearest' }));
  }
}

/** A set of chosen rows with `key` put in, or taken out where it is in. */
export function toggled(set: ReadonlySet<string>, key: string): ReadonlySet<string> {
  const next = new Set(set);
  if (!next.delete(key)) next.add(key);
  return next;
}
