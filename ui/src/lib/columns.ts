/** Columns of a model's predictions in words. */

import { percent } from './format';
import type { Bin, ModelColumn } from './types';

/** Rows of a side without which nothing is compared. */
export const ROWS_NEEDED = 30;

/** Texts that are drawn before somebody asks for all. */
const TEXTS = 6;

export const isText = (bin: Bin): bin is Bin & { value: string } => 'value' in bin;

/** An edge of a bin with the digits that its width can show. */
function edge(value: number, width: number): string {
  const size = Math.abs(value);
  if (size >= 1e9 || (size > 0 && size < 1e-4)) return Number(value.toPrecision(6)).toExponential();
  const digits = width > 0 ? Math.min(6, Math.max(0, 2 - Math.floor(Math.log10(width)))) : 6;
  return value.toLocaleString('en-US', { maximumFractionDigits: width >= 1 && Number.isInteger(value) ? 0 : digits });
}

/** What lies in a bin; the outer ones hold what lies beyond them too. */
export function binText(bins: Bin[], i: number): string {
  const bin = bins[i];
  if (!bin) return '';
  if (isText(bin)) return bin.value;
  const width = bin.to - bin.from;
  if (width === 0) return edge(bin.from, 0);
  if (i === 0) return `below ${edge(bin.to, width)}`;
  const next = bins[i + 1];
  if (!next || isText(next)) return `from ${edge(bin.from, width)}`;
  return `${edge(bin.from, width)} to ${edge(bin.to, width)}`;
}

export const sharesText = (bin: Bin) => `${percent(bin.window)}, was ${percent(bin.reference)}`;

/** The least and the most that is drawn. */
export function endsText(bins: Bin[]): [string, string] {
  const numbers = bins.filter((bin) => !isText(bin));
  const [first, last] = [numbers[0], numbers.at(-1)];
  if (!first || !last || isText(first) || isText(last)) return ['', ''];
  return [edge(first.from, first.to - first.from), edge(last.to, last.to - last.from)];
}

/** The texts with the largest shares; what is left is one bin at the end. */
export function foremost(bins: Bin[]): Bin[] {
  if (bins.length <= TEXTS) return bins;
  const isRest = (bin: Bin) => isText(bin) && bin.value === 'other';
  const size = (bin: Bin) => (isRest(bin) ? -1 : Math.max(bin.reference, bin.window));
  const kept = new Set([...bins].sort((a, b) => size(b) - size(a)).slice(0, TEXTS - 1));
  const rest = bins.filter((bin) => !kept.has(bin));
  const sum = (of: 'reference' | 'window') => rest.reduce((all, bin) => all + bin[of], 0);
  return [...bins.filter((bin) => kept.has(bin)), { value: 'other', reference: sum('reference'), window: sum('window') }];
}

const OF = { input: '', prediction: 'answer', probability: 'probability' };
export const ofText = (column: ModelColumn) => OF[column.of];

/** How far apart both are, and whether chance may be why. */
export function distanceText({ distance, chance }: ModelColumn): string {
  if (distance === null) return 'not compared';
  const odds = chance === null ? '' : `, chance ${chance < 0.001 ? '<0.001' : Number(chance.toPrecision(2))}`;
  return `distance ${distance.toFixed(2)}${odds}`;
}

export function missingText({ missing: { reference, window } }: ModelColumn): string {
  return reference || window ? `missing ${percent(window)}, was ${percent(reference)}` : 'never missing';
}

/** The whole picture as one sentence. */
export function wordsOf(column: ModelColumn): string {
  return [`${column.name}${ofText(column) ? `, ${ofText(column)}` : ''}`, column.drifted ? 'drifted' : '', column.effect, missingText(column)].filter(Boolean).join('; ');
}
