// A browser and pages for tests and screenshots.
import { existsSync } from 'node:fs';
import { chromium } from 'playwright-core';

const executablePath = process.env.CHROMIUM ?? ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);

/** How long is waited for anything; more on a busy machine. */
const WAIT_MS = Number(process.env.TIMEOUT_S ?? 10) * 1000;

export function launch() {
  if (!executablePath) throw new Error('no Chromium found; install one or name it in CHROMIUM');
  return chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
}

/** A page that counts errors, dialogs, refused content and layout shifts. */
export async function open(browser, { theme = 'light', width = 1440, height = 900, reduced = true } = {}) {
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, reducedMotion: reduced ? 'reduce' : 'no-preference', permissions: ['clipboard-read', 'clipboard-write'] });
  const page = await context.newPage();
  page.setDefaultTimeout(WAIT_MS);
  const bad = [];
  page.on('pageerror', (error) => bad.push(`script error: ${error.message}`));
  page.on('console', (message) => {
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) bad.push(`console: ${message.text()}`);
  });
  page.on('dialog', (dialog) => {
    bad.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.addInitScript(() => {
    window.shifts = [];
    new PerformanceObserver((list) => {
      for (const entry of list.getEntries()) {
        if (entry.hadRecentInput) continue;
        const nodes = entry.sources.map((s) => (s.node?.nodeType === 1 ? `${s.node.tagName}.${s.node.className}` : s.node?.parentElement?.className));
        window.shifts.push({ value: entry.value, nodes });
      }
    }).observe({ type: 'layout-shift', buffered: true });
    document.addEventListener('securitypolicyviolation', (event) => console.error(`refused by policy: ${event.violatedDirective} ${event.blockedURI}`));
  });
  return { page, bad, close: () => context.close() };
}

/** Waits until nothing loads any more. */
export async function settled(page) {
  await page.waitForFunction(() => document.querySelector('h1') && !document.querySelector('.skeleton, .hold'), undefined, { timeout: WAIT_MS * 1.5 });
  await page.waitForTimeout(250);
}

export const PAGES = {
  now: '/',
  welcome: '/welcome',
  incidents: '/incidents',
  incident: '/incidents/inc-3',
  alerts: '/alerts',
  setup: '/alerts?setup=1&state=flapping',
  silences: '/alerts?tab=silences',
  routes: '/alerts?tab=routes',
  notices: '/alerts?tab=notices',
  noise: '/alerts?tab=noise',
  services: '/services',
  map: '/services?view=map',
  service: '/services/shop/checkout',
  slos: '/slos',
  slo: '/slos/checkout-availability',
  define: '/slos?define=1',
  metrics: '/explore',
  forecast: '/explore?metric=queue.depth&forecast=12&threshold=60',
  logs: '/explore?tab=logs',
  parameters: '/explore?tab=logs&template=4',
  patterns: '/explore?tab=logs&view=patterns',
  traces: '/explore?tab=traces',
  apart: '/explore?tab=traces&apart=1&entity=service:shop/checkout',
  trace: '/explore?tab=traces&trace=0af7651916cd43dd8448eb211c80319c',
  sql: '/explore?tab=sql&sql=SELECT+1',
  detection: '/detection',
  preview: '/detection?tab=preview&replay=1',
  near: '/detection?tab=near',
  models: '/models',
  model: '/models/churn',
  experiment: '/experiments/1',
  compare: `/experiments/1?compare=${[0, 1, 2].map((i) => `${i}`.padStart(32, 'a')).join()}`,
  run: `/runs/${'0'.padStart(32, 'a')}`,
  why: '/explore?why=2026-01-01T00:00:00Z~2100-01-01T00:00:00Z',
};
