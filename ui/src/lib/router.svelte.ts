/** Where the reader is. The whole state of a page lives in the URL, so that any view can be linked to. */

class Route {
  path = $state(location.pathname);
  query = $state.raw(new URLSearchParams(location.search));

  /** The parts of the path, decoded. */
  get parts(): string[] {
    return this.path.split('/').filter(Boolean).map(decode);
  }

  get(name: string): string {
    return this.query.get(name) ?? '';
  }

  read(): void {
    this.path = location.pathname;
    this.query = new URLSearchParams(location.search);
  }
}

export const route = new Route();

/** Query parameters that stay when the page changes. */
const KEPT = ['from', 'to', 'refresh', 'tenant'];

/** Goes to another page of the interface; the time range goes along. */
export function go(path: string, options: { replace?: boolean } = {}): void {
  const url = new URL(path, location.origin);
  for (const name of KEPT) {
    const value = route.query.get(name);
    if (value && !url.searchParams.has(name)) url.searchParams.set(name, value);
  }
  const pathChanged = url.pathname !== location.pathname;
  history[options.replace ? 'replaceState' : 'pushState'](null, '', url);
  route.read();
  if (pathChanged) {
    window.scrollTo(0, 0);
    // A screen reader hears the new page's heading.
    requestAnimationFrame(() => document.querySelector<HTMLElement>('h1')?.focus({ preventScroll: true }));
  }
}

/** Changes query parameters in place; an empty value takes one out. */
export function setQuery(changes: Record<string, string | undefined>, options: { push?: boolean } = {}): void {
  history[options.push ? 'pushState' : 'replaceState'](null, '', hrefWith(changes));
  route.read();
}

/** A link to this page with query parameters changed; an empty value takes one out. */
export function hrefWith(changes: Record<string, string | undefined>): string {
  const query = new URLSearchParams(route.query);
  for (const [name, value] of Object.entries(changes)) {
    if (value) query.set(name, value);
    else query.delete(name);
  }
  const text = query.toString();
  return route.path + (text ? `?${text}` : '');
}

/** Listens to the browser's buttons and to clicks on links. Returns how to stop. */
export function startRouter(): () => void {
  const back = () => route.read();
  const click = (event: MouseEvent) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.('a');
    const href = link?.getAttribute('href');
    if (!link || !href?.startsWith('/') || href.startsWith('/api/') || link.target || link.hasAttribute('download')) return;
    event.preventDefault();
    go(href);
  };
  addEventListener('popstate', back);
  document.addEventListener('click', click);
  return () => {
    removeEventListener('popstate', back);
    document.removeEventListener('click', click);
  };
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
