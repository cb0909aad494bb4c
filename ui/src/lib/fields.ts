/** Conditions on attributes, as they stand in the URL: `[["name", "value", keep], …]`, as the API of logs takes them. */

export type Field = [string, string, boolean];

export function readFields(text: string): Field[] {
  try {
    const list: unknown = JSON.parse(text || '[]');
    return Array.isArray(list) ? list.filter((f): f is Field => Array.isArray(f) && typeof f[0] === 'string' && typeof f[1] === 'string') : [];
  } catch {
    return [];
  }
}

/** Whether what stands in any of these holds them all. */
export function fits(fields: Field[], ...values: (Record<string, unknown> | null | undefined)[]): boolean {
  const text = (value: unknown) => (typeof value === 'string' ? value : JSON.stringify(value));
  return fields.every(([name, value, keep]) => values.some((v) => v?.[name] !== undefined && text(v[name]) === value) === keep);
}
