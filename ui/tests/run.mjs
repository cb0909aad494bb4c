// Looks at the interface in a real browser: every page, both themes, three widths; accessibility, keyboard, layout shifts, states, hostile text.
// With BELLWETHER_URL the pages of that server are looked at too.
import { readFileSync } from 'node:fs';
import AxeBuilder from '@axe-core/playwright';
import { launch, open, PAGES, settled } from './browser.mjs';
import { start } from './fixtures/server.mjs';

const CLS_LIMIT = 0.02;
const fixture = await start();
const browser = await launch();
let failed = 0;
let passed = 0;

function check(name, problems) {
  const list = [...new Set(problems.flat().filter(Boolean))];
  if (list.length) {
    failed += 1;
    console.log(`FAILED  ${name}`);
    for (const text of list.slice(0, 8)) console.log(`        ${text}`);
  } else {
    passed += 1;
    console.log(`ok      ${name}`);
  }
}

async function test(name, work) {
  try {
    check(name, (await work()) ?? []);
  } catch (error) {
    check(name, [error.message.split('\n').slice(0, 3).join(' ')]);
  }
}

async function axe(page) {
  const result = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']).analyze();
  return result.violations
    .filter((v) => ['serious', 'critical'].includes(v.impact))
    .map((v) => `axe ${v.id}: ${v.nodes.slice(0, 3).map((n) => `${n.target.join(' ')} ${(n.any[0]?.message ?? '').slice(0, 140)}`).join(' | ')}`);
}

async function shifted(page) {
  const { total, worst } = await page.evaluate(() => ({ total: window.shifts.reduce((sum, s) => sum + s.value, 0), worst: [...window.shifts].sort((a, b) => b.value - a.value)[0] }));
  return total > CLS_LIMIT ? `layout shift ${total.toFixed(3)}: ${JSON.stringify(worst?.nodes)}` : '';
}

async function tooWide(page) {
  const by = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  return by > 0 ? `${by} px wider than the window` : '';
}

async function eachPage(base, scene, pages = PAGES) {
  fixture.scene.name = scene;
  for (const theme of ['light', 'dark']) {
    for (const width of [1440, 360]) {
      for (const [name, path] of Object.entries(pages)) {
        await test(`${scene}: ${name}, ${theme}, ${width} px`, async () => {
          const view = await open(browser, { theme, width });
          await view.page.goto(base + path);
          await settled(view.page);
          const problems = [await tooWide(view.page), await shifted(view.page), ...view.bad];
          if (width === 1440 || theme === 'light') problems.push(...(await axe(view.page)));
          await view.close();
          return problems;
        });
      }
    }
  }
}

async function withPage(path, work, options) {
  const view = await open(browser, options);
  await view.page.goto(fixture.url + path);
  await settled(view.page);
  const problems = (await work(view.page)) ?? [];
  await view.close();
  return [...problems, ...view.bad];
}

const here = (page) => page.evaluate(() => location.pathname + location.search);
const want = (got, expected, what) => (got === expected ? '' : `${what}: ${JSON.stringify(got)} instead of ${JSON.stringify(expected)}`);

async function keyboard() {
  await test('keyboard: go to each page', () =>
    withPage('/', async (page) => {
      const problems = [];
      for (const [key, path] of [['i', '/incidents'], ['s', '/services'], ['e', '/explore'], ['d', '/detection'], ['n', '/']]) {
        await page.keyboard.press('g');
        await page.keyboard.press(key);
        await page.waitForTimeout(100);
        problems.push(want(await here(page), path, `g ${key}`));
      }
      return problems;
    }));
  await test('keyboard: rows, open, back, acknowledge', () =>
    withPage('/incidents', async (page) => {
      await page.keyboard.press('j');
      await page.keyboard.press('j');
      await page.keyboard.press('k');
      await page.keyboard.press('Enter');
      await page.waitForTimeout(150);
      const problems = [want(await here(page), '/incidents/inc-3', 'Enter')];
      await page.keyboard.press('e');
      await page.getByText('inc-3 acknowledged', { exact: false }).waitFor();
      await page.keyboard.press('Escape');
      await page.waitForTimeout(150);
      problems.push(want(await here(page), '/incidents', 'Escape'));
      problems.push(fixture.scene.said.some(([id, what]) => id === 'inc-3' && what === 'acknowledge') ? '' : 'the server was not told');
      fixture.scene.said = [];
      return problems;
    }));
  await test('keyboard: help, palette, filter, time', () =>
    withPage('/incidents', async (page) => {
      const problems = [];
      await page.keyboard.press('?');
      await page.getByRole('dialog', { name: 'Keyboard' }).waitFor();
      problems.push(...(await axe(page)));
      await page.keyboard.press('Escape');
      await page.keyboard.press('Control+k');
      await page.getByRole('dialog', { name: 'Search or go to' }).waitFor();
      await page.keyboard.type('service map');
      problems.push(...(await axe(page)));
      await page.keyboard.press('Enter');
      await page.waitForTimeout(150);
      problems.push(want(await here(page), '/services?view=map', 'palette'));
      await page.keyboard.press('/');
      await page.keyboard.type('cat');
      await page.waitForTimeout(100);
      problems.push(want(await here(page), '/services?view=map&q=cat', 'filter'));
      await page.keyboard.press('Escape');
      await page.keyboard.press('t');
      await page.getByRole('dialog', { name: 'Time range' }).waitFor();
      await page.waitForTimeout(100);
      problems.push(...(await axe(page)));
      await page.keyboard.press('ArrowDown');
      await page.keyboard.press('Enter');
      await page.waitForTimeout(150);
      problems.push(/from=now-1h/.test(await here(page)) ? '' : `picker: ${await here(page)}`);
      await page.keyboard.press('t');
      await page.keyboard.press('z');
      await page.waitForTimeout(100);
      problems.push(/from=now-7200s/.test(await here(page)) ? '' : `zoom out: ${await here(page)}`);
      await page.keyboard.press('t');
      await page.keyboard.press('ArrowLeft');
      await page.waitForTimeout(100);
      problems.push(/from=20.*to=20/.test(await here(page)) ? '' : `earlier: ${await here(page)}`);
      return problems;
    }));
  await test('keyboard: everything on an incident can be reached with Tab, with a visible ring', () =>
    withPage('/incidents/inc-3', async (page) => {
      const seen = new Set();
      const problems = [];
      for (let i = 0; i < 80; i++) {
        await page.keyboard.press('Tab');
        const at = await page.evaluate(() => {
          const element = document.activeElement;
          const style = getComputedStyle(element);
          const ring = style.outlineStyle !== 'none' || element.closest('svg') !== null;
          return { text: (element.textContent || element.getAttribute('aria-label') || '').trim().slice(0, 40), ring, body: element === document.body };
        });
        if (at.body) break;
        if (!at.ring) problems.push(`no focus ring: ${at.text}`);
        seen.add(at.text);
      }
      for (const text of ['Acknowledge, key e', 'Resolve', 'Not an incident']) if (!seen.has(text)) problems.push(`not reached: ${text}`);
      return problems;
    }));
}

async function behaviour() {
  await test('brushing a chart zooms the page', () =>
    withPage('/explore', async (page) => {
      const box = await page.locator('.u-over').first().boundingBox();
      await page.mouse.move(box.x + 100, box.y + 60);
      await page.mouse.down();
      await page.mouse.move(box.x + 300, box.y + 60, { steps: 5 });
      await page.mouse.up();
      await page.waitForTimeout(200);
      return [/from=20.*to=20/.test(await here(page)) ? '' : `no range in the URL: ${await here(page)}`];
    }));
  await test('a series is forecast, and when it reaches a threshold', () =>
    withPage('/explore?metric=queue.depth', async (page) => {
      await page.getByRole('button', { name: 'Forecast cart' }).click();
      const card = page.getByRole('region', { name: /Forecast of cart/ });
      await card.getByText('a cycle of 1 d: regression on its past 55 %').waitFor();
      const problems = [(await card.getByText('with a probability of').count()) ? 'a threshold that nobody named' : '', ...(await axe(page))];
      await card.getByLabel('Threshold').fill('much');
      await card.getByLabel('Threshold').press('Enter');
      await card.getByText('Not a number: much').waitFor();
      await card.getByLabel('Threshold').fill('60');
      await card.getByLabel('Threshold').press('Enter');
      await card.getByText('It rises to 60 within a day with a probability of 62').waitFor();
      await card.getByLabel('Ahead').selectOption('7d');
      problems.push(/ahead=7d/.test(await here(page)) ? '' : 'the time ahead is not in the URL');
      await card.getByRole('button', { name: 'Close' }).click();
      await card.waitFor({ state: 'hidden' });
      return problems;
    }));
  await test('shift and drag asks what happened there', () =>
    withPage('/explore', async (page) => {
      const box = await page.locator('.u-over').first().boundingBox();
      await page.keyboard.down('Shift');
      await page.mouse.move(box.x + 100, box.y + 60);
      await page.mouse.down();
      await page.mouse.move(box.x + 300, box.y + 60, { steps: 5 });
      await page.mouse.up();
      await page.keyboard.up('Shift');
      const dialog = page.getByRole('dialog', { name: /What happened/ });
      await dialog.getByText('Not as expected').waitFor();
      await dialog.getByText(/rose to 41[23](\.5)?, it was 23\.1 before/).waitFor();
      await dialog.getByText('6 more of 412 differed less').waitFor();
      const problems = [(await dialog.locator('.finding').count()) > 0 ? '' : 'no findings are listed', ...(await axe(page))];
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'hidden' });
      problems.push(/why=/.test(await here(page)) ? 'still in the URL after Escape' : '');
      return problems;
    }));
  await test('what varies in a pattern is told, and a value filters the lines', () =>
    withPage('/explore?tab=logs&template=4', async (page) => {
      const card = page.getByRole('region', { name: 'What varies' });
      await card.getByText('240 values, nearly all different').waitFor();
      const problems = await axe(page);
      await card.getByRole('button', { name: /card expired/ }).click();
      problems.push(/q=card(\+|%20)expired/.test(await here(page)) ? '' : `the value is not in the URL: ${await here(page)}`);
      return problems;
    }));
  await test('an attribute of a line filters the lines, and its chip takes the filter out', () =>
    withPage('/explore?tab=logs', async (page) => {
      await page.locator('.line').first().click();
      await page.getByRole('button', { name: 'No lines with http.route = /checkout' }).click();
      const chip = page.getByRole('button', { name: /not http.route = \/checkout/ });
      await chip.waitFor();
      const asked = new URLSearchParams((await here(page)).split('?')[1]).get('fields');
      await page.evaluate(() => scrollTo(0, 0));
      const problems = [want(asked, '[["http.route","/checkout",false]]', 'fields'), ...(await axe(page))];
      await chip.click();
      await chip.waitFor({ state: 'hidden' });
      return problems;
    }));
  await test('an incident shows earlier ones like it', () =>
    withPage('/incidents/inc-3', async (page) => {
      const list = page.getByRole('region', { name: 'Similar incidents' });
      await list.locator('a').first().waitFor();
      return [(await list.textContent()).includes('same') ? '' : 'it does not say what they share'];
    }));
  await test('evidence opens: chart, trace, log lines', () =>
    withPage('/incidents/inc-3', async (page) => {
      const problems = [(await page.locator('.cause .u-over').count()) === 1 ? '' : 'the first chart is not open'];
      await page.getByRole('button', { name: /Trace 0af/ }).click();
      await page.locator('.waterfall li').first().waitFor();
      await page.getByRole('button', { name: /2 pieces of evidence/ }).click();
      await page.getByRole('button', { name: /checkout wrote 31 lines/ }).click();
      await page.getByText('One line as it came in').waitFor();
      await page.locator('summary').first().click();
      await page.getByText('40 ms (22 ms … 71 ms)').waitFor();
      problems.push(...(await axe(page)));
      return problems;
    }));
  await test('nothing received: the first page opens by itself', async () => {
    fixture.scene.name = 'empty';
    const view = await open(browser);
    await view.page.goto(`${fixture.url}/`);
    await view.page.waitForURL('**/welcome', { timeout: 5000 });
    await view.page.getByText('Waiting for data').waitFor();
    fixture.scene.name = 'normal';
    await view.page.getByText('Data is coming in').waitFor({ timeout: 6000 });
    await view.close();
    return view.bad;
  });
  await test('loading: the place is held', async () => {
    const problems = [];
    for (const [name, path] of Object.entries(PAGES)) {
      fixture.scene.name = 'normal';
      fixture.scene.delay = 900;
      const view = await open(browser);
      await view.page.goto(fixture.url + path);
      await view.page.waitForTimeout(400);
      await settled(view.page);
      await view.page.waitForTimeout(1200);
      const shift = await shifted(view.page);
      if (shift) problems.push(`${name}: ${shift}`);
      await view.close();
    }
    fixture.scene.delay = undefined;
    return problems;
  });
  await test('errors say what, why, what to do, and a code', async () => {
    fixture.scene.name = 'error';
    const problems = [];
    for (const [name, path] of Object.entries(PAGES)) {
      if (name === 'welcome') continue;
      const view = await open(browser);
      await view.page.goto(fixture.url + path);
      await settled(view.page);
      const text = await view.page.locator('main').innerText();
      for (const part of ['data folder is full', 'What to do: free some space', 'BELLWETHER-E0503']) if (!text.includes(part)) problems.push(`${name} does not say: ${part}`);
      problems.push(...(await axe(view.page)).map((t) => `${name}: ${t}`), ...view.bad);
      await view.close();
    }
    fixture.scene.name = 'normal';
    return problems;
  });
  await test('partial results carry a warning', async () => {
    fixture.scene.name = 'partial';
    const problems = [];
    for (const name of ['now', 'metrics', 'patterns', 'sql', 'preview']) {
      const view = await open(browser);
      await view.page.goto(fixture.url + PAGES[name]);
      await settled(view.page);
      if (!(await view.page.locator('.banner').count())) problems.push(`${name}: no warning`);
      await view.close();
    }
    fixture.scene.name = 'normal';
    return problems;
  });
  await test('huge: every page stays small and quick', async () => {
    fixture.scene.name = 'huge';
    const problems = [];
    for (const [name, path] of Object.entries(PAGES)) {
      const view = await open(browser);
      const began = Date.now();
      await view.page.goto(fixture.url + path);
      await settled(view.page);
      const took = Date.now() - began;
      const size = await view.page.evaluate(() => document.querySelectorAll('*').length);
      if (size > 12_000) problems.push(`${name}: ${size} elements`);
      if (took > 8000) problems.push(`${name}: ${took} ms`);
      problems.push(...view.bad, await tooWide(view.page));
      await view.close();
    }
    fixture.scene.name = 'normal';
    return problems;
  });
  await test('hostile text is shown as text', async () => {
    fixture.scene.name = 'hostile';
    const problems = [];
    for (const [name, path] of Object.entries(PAGES)) {
      const view = await open(browser);
      await view.page.goto(fixture.url + path);
      await settled(view.page);
      const made = await view.page.evaluate(() => document.querySelectorAll('main img, main script, a[href^="javascript:"]').length);
      if (made) problems.push(`${name}: ${made} elements came out of text`);
      problems.push(...view.bad.map((b) => `${name}: ${b}`), await tooWide(view.page));
      await view.close();
    }
    fixture.scene.name = 'normal';
    return problems;
  });
  await test('200 % zoom: nothing is cut off', async () => {
    const problems = [];
    for (const [name, path] of Object.entries(PAGES)) {
      const view = await open(browser, { width: 640, height: 400 });
      await view.page.goto(fixture.url + path);
      await settled(view.page);
      const wide = await tooWide(view.page);
      if (wide) problems.push(`${name}: ${wide}`);
      await view.close();
    }
    return problems;
  });
  await test('no markup from text in the sources', () => {
    const page = readFileSync(new URL('../dist/index.html', import.meta.url), 'utf8');
    return [/<script(?![^>]*src=)/.test(page) ? 'an inline script' : '', /style=/.test(page) ? 'an inline style' : ''];
  });
}

async function detection() {
  await test('detection: the budget is shown, set and taken off; who is over it says so in words', () =>
    withPage('/detection', async (page) => {
      fixture.scene.budgets = [];
      await page.getByText('Now: at most 2 false events a week').waitFor();
      const first = page.locator('tbody tr').first();
      const problems = [/checkout.*Over budget/s.test(await first.innerText()) ? '' : 'the service over the budget does not come first'];
      problems.push(want(await page.getByText('Over budget').count(), 1, 'marked as over'));
      await page.getByText('dismissed: must now reach surprise 13.0').waitFor();
      await page.getByText('missed: 2.0 less suffices').waitFor();
      const field = page.getByLabel('At most');
      const set = page.getByRole('button', { name: 'Set', exact: true });
      await field.fill('-1');
      problems.push((await set.isDisabled()) ? '' : 'a budget below 0 can be set');
      await field.fill('1.5');
      await page.keyboard.press('Enter');
      await page.getByText('Now: at most 1.5 false events a week').waitFor();
      await page.getByRole('button', { name: 'No limit' }).click();
      await page.getByText('Now: no limit').waitFor();
      problems.push(want(JSON.stringify(fixture.scene.budgets), '[1.5,null]', 'told to the server'), ...(await axe(page)));
      fixture.scene.budget = 2;
      return problems;
    }));
  await test('detection: a preview runs, shows how far it is, and what would have been said; a reload shows it again', () =>
    withPage('/detection?tab=preview', async (page) => {
      fixture.scene.replays.clear();
      fixture.scene.budgets = [];
      await page.getByText('Nothing was run yet').waitFor();
      await page.getByText('Last 7 days').click();
      await page.getByLabel('Budget to try').fill('3');
      await page.getByLabel('Setting 1', { exact: true }).fill('surprise');
      const run = page.getByRole('button', { name: 'Run', exact: true });
      const problems = [(await run.isDisabled()) ? '' : 'a setting that is none can be run'];
      await page.getByText('Not of the form').waitFor();
      problems.push(...(await axe(page)));
      await page.getByLabel('Setting 1', { exact: true }).fill('metric.surprise_min=12');
      await page.getByRole('button', { name: 'Add a setting' }).click();
      await page.waitForTimeout(100);
      await page.keyboard.type('metric.silence_s = 90');
      await page.keyboard.press('Enter');
      await page.getByRole('progressbar').waitFor();
      problems.push(...(await axe(page)));
      await page.getByText('3 incidents and 3 findings would have been said').waitFor();
      const { plan } = fixture.scene.replays.get('10');
      problems.push(want(JSON.stringify(plan), '{"from":"now-7d","to":"now","budget_per_week":3,"settings":{"metric":{"surprise_min":12,"silence_s":90}},"entity":null}', 'asked'));
      problems.push(/replay=10/.test(await here(page)) ? '' : `not in the URL: ${await here(page)}`);
      await page.reload();
      await page.getByText('3 incidents and 3 findings would have been said').waitFor();
      problems.push(want(await page.getByLabel('Budget to try').inputValue(), '3', 'budget after a reload'));
      problems.push(want(await page.getByLabel('Setting 2', { exact: true }).inputValue(), 'metric.silence_s=90', 'setting after a reload'));
      await page.getByText('Surprise 18.2 where 12.0 are needed').first().waitFor();
      await page.getByText('the budget of 2 false events a week for checkout is used up').waitFor();
      await page.getByRole('button', { name: 'Use this budget: 3 a week' }).click();
      await page.getByText('Budget set: at most 3').waitFor();
      problems.push(want(JSON.stringify(fixture.scene.budgets), '[3]', 'told to the server'));
      fixture.scene.budget = 2;
      return problems;
    }));
  await test('detection: a preview is ended; another one while it runs is refused with the reason', () =>
    withPage('/detection?tab=preview', async (page) => {
      fixture.scene.replays.clear();
      fixture.scene.replayTakes = 60_000;
      const run = page.getByRole('button', { name: 'Run', exact: true });
      await run.click();
      await page.getByRole('progressbar').waitFor();
      await run.click();
      await page.getByText('one runs at a time').waitFor();
      const text = await page.locator('main').innerText();
      const problems = ['a replay is running: wait for it, or end it', 'BELLWETHER-E0503'].map((part) => (text.includes(part) ? '' : `it does not say: ${part}`));
      problems.push(...(await axe(page)));
      await page.getByRole('button', { name: 'Cancel' }).click();
      await page.getByText('This replay was ended early').waitFor();
      await page.getByLabel('Setting 1', { exact: true }).fill('metric.no_such=1');
      await run.click();
      await page.getByText('metric has no setting "no_such"').waitFor();
      fixture.scene.replayTakes = 1500;
      return problems;
    }));
  await test('detection: replays that failed or are no longer kept say so', async () => {
    const problems = [];
    for (const [id, text] of [['9', 'the history could not be read: file 12'], ['77', 'Replay 77 is no longer kept']]) {
      problems.push(...(await withPage(`/detection?tab=preview&replay=${id}`, async (page) => {
        await page.getByText(text).waitFor();
        return axe(page);
      })));
    }
    return problems;
  });
  await test('detection: what was nearly said, with why', () =>
    withPage('/detection?tab=near', async (page) => {
      const list = page.getByRole('region', { name: 'Nearly said' });
      await list.getByText('seen in one step only').waitFor();
      const text = await list.innerText();
      return [/surprise 7.4 of 8.0 needed/.test(text) ? '' : 'no levels', /surprise 9.2(?! of)/.test(text) ? '' : 'a level that is not needed is shown'];
    }));
  await test('detection: something was missed, said on a service’s page', () =>
    withPage('/services/shop/cart', async (page) => {
      fixture.scene.missed = [];
      await page.getByRole('button', { name: 'Something was missed' }).focus();
      await page.keyboard.press('Enter');
      const dialog = page.getByRole('dialog', { name: 'Something of cart was missed' });
      await dialog.getByText('less surprise suffices here').waitFor();
      const problems = [...(await axe(page))];
      await dialog.getByLabel('About').selectOption('queue.depth');
      await dialog.getByRole('button', { name: 'Say so' }).click();
      await dialog.getByText('Noted.').waitFor();
      problems.push(want(JSON.stringify(fixture.scene.missed), '[{"entity":"service:shop/cart","metric":"queue.depth"}]', 'told to the server'));
      fixture.scene.name = 'error';
      await dialog.getByRole('button', { name: 'Close' }).click();
      await page.getByRole('button', { name: 'Something was missed' }).click();
      await dialog.getByRole('button', { name: 'Say so' }).click();
      await dialog.getByText('It was not noted').waitFor();
      fixture.scene.name = 'normal';
      return [...problems, ...(await axe(page))];
    }));
  await test('detection: an incident says what “Not an incident” does', () =>
    withPage('/incidents/inc-3', async (page) => {
      await page.getByText('raises the level').getByRole('link', { name: 'Detection' }).click();
      await page.waitForTimeout(150);
      return [want(await here(page), '/detection', 'link')];
    }));
}

const only = process.env.ONLY ?? '';
if (!only || only.includes('pages')) await eachPage(fixture.url, 'normal');
if (!only || only.includes('pages') || only.includes('empty')) await eachPage(fixture.url, 'empty');
fixture.scene.name = 'normal';
if (!only || only.includes('keys')) await keyboard();
if (!only || only.includes('behaviour')) await behaviour();
if (!only || only.includes('detection')) await detection();
if (process.env.BELLWETHER_URL) {
  const base = process.env.BELLWETHER_URL;
  const [newest] = await (await fetch(`${base}/api/v1/incidents?limit=1`)).json();
  const [service] = await (await fetch(`${base}/api/v1/services`)).json();
  const pages = { ...PAGES };
  delete pages.incident;
  delete pages.service;
  delete pages.trace;
  delete pages.forecast;
  const [rate] = await (await fetch(`${base}/api/v1/series?metric=bellwether.requests.rate&limit=1`)).json();
  if (rate) pages.forecast = `/explore?metric=${rate.metric}&forecast=${rate.series}&ahead=1h&threshold=100000`;
  if (newest) pages.incident = `/incidents/${newest.id}`;
  if (service) pages.service = `/services/${service.entity.split(':')[1]}`;
  await eachPage(base, 'real', pages);
}
await browser.close();
fixture.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
