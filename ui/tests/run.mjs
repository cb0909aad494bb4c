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

/** `PAGES=alerts,routes` looks at these only. */
const some = (process.env.PAGES ?? '').split(',').filter(Boolean);
const chosen = (pages) => Object.entries(pages).filter(([name]) => !some.length || some.includes(name));

async function eachPage(base, scene, pages = PAGES) {
  fixture.scene.name = scene;
  for (const theme of ['light', 'dark']) {
    for (const width of [1440, 360]) {
      for (const [name, path] of chosen(pages)) {
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
      for (const [key, path] of [['i', '/incidents'], ['a', '/alerts'], ['s', '/services'], ['o', '/slos'], ['e', '/explore'], ['d', '/detection'], ['m', '/models'], ['n', '/']]) {
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
      for (const text of ['Acknowledge, key e', 'Resolve', 'Not an incident', 'Join …', 'Split …', 'Post-mortem']) if (!seen.has(text)) problems.push(`not reached: ${text}`);
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
    for (const [name, path] of chosen(PAGES)) {
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
    for (const [name, path] of chosen(PAGES)) {
      if (name === 'welcome') continue;
      const view = await open(browser);
      await view.page.goto(fixture.url + path);
      await settled(view.page);
      const text = await view.page.locator('main').innerText();
      const isMlflow = ['models', 'model', 'experiment', 'compare', 'run'].includes(name);
      for (const part of ['data folder is full', ...(isMlflow ? ['What to do: try again', 'TEMPORARILY_UNAVAILABLE'] : ['What to do: free some space', 'BELLWETHER-E0503'])]) if (!text.includes(part)) problems.push(`${name} does not say: ${part}`);
      problems.push(...(await axe(view.page)).map((t) => `${name}: ${t}`), ...view.bad);
      await view.close();
    }
    fixture.scene.name = 'normal';
    return problems;
  });
  await test('partial results carry a warning', async () => {
    fixture.scene.name = 'partial';
    const problems = [];
    for (const name of ['now', 'metrics', 'patterns', 'apart', 'sql', 'preview']) {
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
    for (const [name, path] of chosen(PAGES)) {
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
    for (const [name, path] of chosen(PAGES)) {
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
    for (const [name, path] of chosen(PAGES)) {
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

async function alerts() {
  const { desk } = fixture.scene;
  const region = (page, name) => page.getByRole('region', { name, exact: true });
  await test('alerts: rules with their alerts, what fires first, flapping and silenced in words', () =>
    withPage('/alerts', async (page) => {
      await page.getByText('1,204 came in').waitFor();
      const rows = region(page, 'Alerts').locator('li.row');
      const texts = await rows.allInnerTexts();
      const order = texts.map((t) => /HighErrorRate|SlowAnswers|DiskFillsUp|PodRestarts/.exec(t)?.[0]).join(' ');
      const problems = [want(order, 'HighErrorRate SlowAnswers DiskFillsUp PodRestarts', 'order')];
      problems.push(/Firing.*Flapping/s.test(texts[0]) && /3 alerts/.test(texts[0]) && /Critical/.test(texts[0]) ? '' : `first row: ${texts[0]}`);
      problems.push(/Silenced/.test(texts[2]) && /page/.test(texts[2]) ? '' : `silenced row: ${texts[2]}`, /Ended/.test(texts[3]) ? '' : `ended row: ${texts[3]}`);
      await page.getByRole('button', { name: 'HighErrorRate', exact: true }).click();
      await page.getByText('instance=i-3').waitFor();
      problems.push(...(await axe(page)));
      await page.getByRole('link', { name: 'Flapping' }).click();
      await page.waitForTimeout(300);
      problems.push(want(await here(page), '/alerts?state=flapping', 'filter'), want(await rows.count(), 1, 'flapping rows'));
      await page.getByLabel('Entity').fill('service:shop/cart');
      await page.getByLabel('Entity').press('Enter');
      await page.getByText('No alert matches').waitFor();
      problems.push(/entity=service/.test(await here(page)) ? '' : 'the entity is not in the URL');
      await page.getByRole('button', { name: 'Clear filters' }).click();
      await page.getByText('SlowAnswers at inventory').waitFor();
      return problems;
    }));
  await test('alerts: triage by keyboard: details, incident, silence with a preview', () =>
    withPage('/alerts', async (page) => {
      desk.made = [];
      await page.keyboard.press('j');
      await page.keyboard.press('Enter');
      await page.getByText('instance=i-1').waitFor();
      await page.keyboard.press('s');
      const dialog = page.getByRole('dialog', { name: 'Silence HighErrorRate' });
      await dialog.getByText('kept quiet 18 of 212 findings; 1 incident would not have been opened').waitFor();
      const conditions = dialog.getByLabel('Conditions');
      const problems = [want(await conditions.inputValue(), 'alertname=HighErrorRate\nservice=checkout', 'prefilled'), ...(await axe(page))];
      const make = dialog.getByRole('button', { name: 'Make silence' });
      await conditions.fill('what is this');
      problems.push((await make.isDisabled()) ? '' : 'no condition, and it can be made');
      await dialog.getByText('No condition: what is this').waitFor();
      await conditions.fill('service=refused');
      await dialog.getByText('cannot be silenced').waitFor();
      problems.push((await make.isDisabled()) ? '' : 'the preview failed, and it can be made');
      await conditions.fill('service=checkout');
      await dialog.getByText('kept quiet 18').waitFor();
      await dialog.getByLabel('4 hours').check();
      await dialog.getByLabel('Why').fill('known, being mended');
      await page.keyboard.press('Enter');
      await dialog.waitFor({ state: 'hidden' });
      const [{ id, ...made }] = desk.made;
      problems.push(want(JSON.stringify(made), '{"matchers":["service=checkout"],"comment":"known, being mended","lasts":"4h"}', 'told to the server'), /^silence-\d+$/.test(id) ? '' : `id ${id}`);
      await page.keyboard.press('o');
      await page.waitForTimeout(200);
      problems.push(want(await here(page), '/incidents/inc-3', 'o'));
      return problems;
    }));
  await test('alerts: several are selected and silenced at once', () =>
    withPage('/alerts', async (page) => {
      desk.made = [];
      for (const key of ['j', 'x', 'j', 'x']) await page.keyboard.press(key);
      await page.getByText('2 selected').waitFor();
      await page.keyboard.press('s');
      const dialog = page.getByRole('dialog', { name: 'Silence 2 rules' });
      await dialog.getByText('kept quiet 36').waitFor();
      const problems = await axe(page);
      await dialog.getByRole('button', { name: 'Make 2 silences' }).click();
      await dialog.waitFor({ state: 'hidden' });
      problems.push(want(desk.made.map((s) => s.matchers.join(',')).join(' '), 'alertname=HighErrorRate,service=checkout alertname=SlowAnswers,service=inventory', 'made'));
      problems.push(want(new Set(desk.made.map((s) => s.id)).size, 2, 'different ids'), (await page.getByText('selected').count()) ? 'still selected' : '');
      return problems;
    }));
  await test('alerts: none yet: how to send them here, to copy', async () => {
    fixture.scene.name = 'empty';
    const problems = await withPage('/alerts', async (page) => {
      const address = new URL(fixture.url).host;
      await page.getByText('No alert of another program has come in').waitFor();
      await page.getByRole('region', { name: 'Prometheus alertmanagers' }).getByText(`targets: ["${address}"]`).waitFor();
      await page.getByRole('region', { name: 'Alertmanager webhook' }).getByText(`url: ${fixture.url}/api/v1/webhooks/alertmanager`).waitFor();
      await page.getByRole('button', { name: 'Copy' }).first().click();
      const copied = await page.evaluate(() => navigator.clipboard.readText());
      return [copied.includes(address) ? '' : 'the snippet was not copied'];
    });
    fixture.scene.name = 'normal';
    return problems;
  });
  desk.silences = undefined;
  await test('silences: active, planned and over; one is ended, a window is made', () =>
    withPage('/alerts?tab=silences', async (page) => {
      desk.made = [];
      desk.ended = [];
      const list = region(page, 'Silences');
      await list.getByText('31 kept quiet').waitFor();
      const problems = [want((await list.locator('li.row').allInnerTexts()).map((t) => /Active|Planned|Over/.exec(t)?.[0]).join(' '), 'Active Planned Over', 'order')];
      await list.getByRole('button', { name: 'End silence-1 now' }).click();
      await page.getByText('silence-1 ended').waitFor();
      problems.push(want(desk.ended.join(), 'silence-1', 'ended'));
      await page.keyboard.press('s');
      const dialog = page.getByRole('dialog', { name: 'New silence' });
      await dialog.getByText('Name a condition to see it.').waitFor();
      await dialog.getByLabel('Conditions').fill('service=cart');
      await dialog.getByLabel('Maintenance window').check();
      await dialog.getByText('Say when it ends').waitFor();
      await dialog.getByLabel('From').fill('2030-01-31 14:00');
      await dialog.getByLabel('To', { exact: true }).fill('2030-01-31 13:00');
      await dialog.getByText('It must end after it starts').waitFor();
      problems.push(...(await axe(page)));
      await dialog.getByLabel('To', { exact: true }).fill('2030-01-31 16:00');
      await dialog.getByText('every incident would have been opened all the same').waitFor();
      await dialog.getByRole('button', { name: 'Make silence' }).click();
      await dialog.waitFor({ state: 'hidden' });
      const [made] = desk.made;
      problems.push(want(Date.parse(made.ends_at) - Date.parse(made.starts_at), 72e5, 'length of the window'), made.lasts ? 'a length beside a window' : '');
      await list.getByText('service=cart').nth(1).waitFor();
      await list.getByRole('button', { name: 'Make silence-3 again' }).click();
      await page.getByRole('dialog', { name: 'Make this silence again' }).waitFor();
      return problems;
    }));
  await test('routes: edited, tried on history, saved, taken back; errors name what is wrong', () =>
    withPage('/alerts?tab=routes', async (page) => {
      desk.routes = undefined;
      desk.saved = [];
      const rows = page.locator('li.route');
      await rows.nth(1).getByText('2 of 3 incidents of the last 7 days').waitFor();
      const save = page.getByRole('button', { name: 'Save routes' });
      const problems = [(await save.isDisabled()) ? '' : 'nothing changed, and it can be saved', ...(await axe(page))];
      await page.getByRole('button', { name: 'Add a route' }).click();
      await rows.nth(2).getByText('Choose a channel').waitFor();
      problems.push((await save.isDisabled()) ? '' : 'no channel, and it can be saved', want(await page.evaluate(() => document.activeElement.value), 'route-3', 'focus'));
      await page.keyboard.type('cart');
      await rows.nth(2).getByLabel('Conditions').fill('service=cart, severity');
      await rows.nth(2).getByText('No condition: severity').waitFor();
      await rows.nth(2).getByLabel('Conditions').fill('service=cart');
      await rows.nth(2).getByLabel('Severity').selectOption('warning');
      await rows.nth(2).getByLabel('pager').check();
      await rows.nth(2).getByText('1 of 3 incidents').waitFor();
      await page.getByRole('button', { name: 'Move cart up' }).click();
      await rows.nth(1).getByText('1 of 3 incidents').waitFor();
      await page.getByText('Not saved yet').waitFor();
      await save.click();
      await page.getByText('Routes saved').waitFor();
      problems.push(want(desk.saved[0].map((r) => r.name).join(), 'payments,cart,all', 'order saved'));
      problems.push(want(JSON.stringify(desk.saved[0][1]), '{"name":"cart","matchers":["service=cart"],"min_severity":"warning","channels":["pager"],"wait_s":30,"updates":true,"goes_on":false}', 'saved'));
      problems.push((await save.isDisabled()) ? '' : 'saved, and it can be saved again');
      await page.getByRole('button', { name: 'Remove all' }).click();
      await page.getByText('2 of 3 incidents of the last 7 days would have been told to nobody').waitFor();
      problems.push(...(await axe(page)));
      await page.getByRole('button', { name: 'Undo changes' }).click();
      problems.push(want(await rows.count(), 3, 'rows after undo'));
      return problems;
    }));
  await test('routes: without a channel it says how to set one up', async () => {
    fixture.scene.name = 'empty';
    const problems = await withPage('/alerts?tab=routes', async (page) => {
      await page.getByText('No channel is set up').waitFor();
      await page.getByText('[channels.ops]').waitFor();
      return [(await page.getByRole('button', { name: 'Add a route' }).isDisabled()) ? '' : 'a route without a channel can be added', ...(await axe(page))];
    });
    fixture.scene.name = 'normal';
    return problems;
  });
  await test('notices: what became of each, dead letters sent again', () =>
    withPage('/alerts?tab=notices', async (page) => {
      desk.retried = [];
      const list = region(page, 'Notices');
      await list.getByText('somebody must change the key').waitFor();
      const problems = [];
      for (const text of ['Waits', 'Given up', 'May have arrived', 'Delivered', 'it got worse']) problems.push((await list.getByText(text).count()) ? '' : `not said: ${text}`);
      await page.getByRole('link', { name: 'Dead letters' }).click();
      await page.getByText('2 notices').waitFor();
      await page.keyboard.press('j');
      await page.keyboard.press('r');
      await page.getByText('It is sent to pager again').waitFor();
      problems.push(want(desk.retried.join(), 'inc-3-ops-2', 'retried'));
      desk.retried = [];
      return problems;
    }));
  await test('noise: what came in against what people saw', () =>
    withPage('/alerts?tab=noise', async (page) => {
      await page.getByText('212 findings became 9 incidents, one for every 24 findings').waitFor();
      await page.getByText('9 times on or off in an hour').waitFor();
      return [(await region(page, 'Loudest sources').first().innerText()).includes('POST /checkout') ? '' : 'no loudest source'];
    }));
  await test('incident: priority, what ended similar ones, who was told', () =>
    withPage('/incidents/inc-3', async (page) => {
      await page.getByText('Look now: 12 % of the requests to checkout fail now').waitFor();
      const similar = region(page, 'Similar before');
      await similar.getByText('restarted the database').waitFor();
      await similar.getByText('Shares the same place: inventory').waitFor();
      await region(page, 'Who was told').getByText('Given up').waitFor();
      return [want(await page.locator('.urgency').innerText().then((t) => /^P1\b/.test(t)), true, 'the level')];
    }));
  await test('incident: a note is written, and shown as a note', () =>
    withPage('/incidents/inc-3', async (page) => {
      desk.notes = [];
      await page.getByLabel('Note', { exact: true }).fill('the pool is full <b>');
      await page.keyboard.press('Control+Enter');
      await page.getByText('local: the pool is full <b>').waitFor();
      const problems = [want(JSON.stringify(desk.notes), '[["inc-3","the pool is full <b>"]]', 'told to the server')];
      desk.notes = [];
      return problems;
    }));
  await test('incident: joined, split, and its post-mortem taken', () =>
    withPage('/incidents/inc-3', async (page) => {
      desk.joined = [];
      desk.split = [];
      await page.getByRole('button', { name: 'Split …' }).click();
      const split = page.getByRole('dialog', { name: 'Split inc-3' });
      await split.getByLabel('catalog').check();
      const problems = await axe(page);
      await split.getByRole('button', { name: 'Split off' }).click();
      await page.getByText('an incident of their own').waitFor();
      problems.push(want(JSON.stringify(desk.split), '[["inc-3",["service:shop/catalog"]]]', 'split'));
      const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('button', { name: 'Post-mortem' }).click()]);
      problems.push(want(file.suggestedFilename(), 'inc-3.md', 'file'));
      await page.getByRole('button', { name: 'Join …' }).click();
      const join = page.getByRole('dialog', { name: 'Join inc-3 with another' });
      problems.push((await join.getByRole('button', { name: 'Join' }).isDisabled()) ? '' : 'it can be joined with nothing', ...(await axe(page)));
      await join.getByLabel(/inc-2/).check();
      await page.keyboard.press('Enter');
      await join.waitFor({ state: 'hidden' });
      await page.waitForTimeout(200);
      problems.push(want(JSON.stringify(desk.joined), '[["inc-3","inc-2"]]', 'joined'), want(await here(page), '/incidents/inc-2', 'it goes on there'));
      return problems;
    }));
  await test('incident: how it spread, step by step with the keyboard', () =>
    withPage('/incidents/inc-3', async (page) => {
      const spread = page.getByRole('group', { name: 'How it spread' });
      const names = (await spread.locator('ol li b').allInnerTexts()).join(' ');
      const problems = [want(names, 'inventory checkout catalog frontend', 'order of onset'), want(await spread.getByRole('button', { name: 'Play' }).count(), 0, 'buttons that move, with reduced motion')];
      const map = page.getByRole('region', { name: 'Service map' });
      problems.push(want(await map.locator('.onset').count(), 4, 'numbers at first'));
      await spread.getByRole('slider').focus();
      await page.keyboard.press('Home');
      await map.getByRole('link', { name: 'service:shop/inventory, abnormal, likely cause, abnormal as number 1' }).waitFor();
      problems.push(want(await map.locator('.onset').count(), 1, 'numbers at the first step'));
      problems.push((await map.getByRole('link', { name: 'service:shop/frontend, not yet affected' }).count()) ? '' : 'frontend is said to be affected already', ...(await axe(page)));
      await page.keyboard.press('ArrowRight');
      problems.push(/2 of 4: .*checkout, error ratio/.test(await spread.getByRole('slider').getAttribute('aria-valuetext')) ? '' : 'the step is not said');
      await spread.getByRole('button', { name: 'Show all' }).click();
      problems.push(want(await map.locator('.onset').count(), 4, 'numbers in the end'));
      return problems;
    }));
  await test('incident: how it spread plays where motion is wanted', () =>
    withPage('/incidents/inc-3', async (page) => {
      const spread = page.getByRole('group', { name: 'How it spread' });
      await spread.getByRole('button', { name: 'Play how it spread' }).click();
      const slider = spread.getByRole('slider');
      const first = await slider.inputValue();
      await page.waitForFunction(() => document.querySelector('input[type=range]').value === '2', undefined, { timeout: 6000 });
      await spread.getByRole('button', { name: 'Pause' }).click();
      return [want(first, '0', 'where it begins')];
    }, { reduced: false }));
  await test('incidents: priority in words; several are selected and acknowledged; silenced by its cause', () =>
    withPage('/incidents', async (page) => {
      fixture.scene.said = [];
      await page.getByText('P1 now').waitFor();
      await page.keyboard.press('j');
      await page.keyboard.press('s');
      const dialog = page.getByRole('dialog', { name: 'Silence' });
      const problems = [want(await dialog.getByLabel('Conditions').inputValue(), 'service=inventory', 'silence')];
      await page.keyboard.press('Escape');
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'hidden' });
      for (const key of ['x', 'j', 'x']) await page.keyboard.press(key);
      await page.getByText('2 selected').waitFor();
      problems.push(...(await axe(page)));
      await page.keyboard.press('a');
      await page.getByText('inc-2 acknowledged').waitFor();
      problems.push(want(JSON.stringify(fixture.scene.said), '[["inc-3","acknowledge"],["inc-2","acknowledge"]]', 'told to the server'));
      fixture.scene.said = [];
      return problems;
    }));
  await test('alerts: hostile text stays text in details and forms', async () => {
    fixture.scene.name = 'hostile';
    const problems = await withPage('/alerts', async (page) => {
      await page.keyboard.press('j');
      await page.keyboard.press('Enter');
      await page.keyboard.press('s');
      await page.getByRole('dialog').waitFor();
      await page.waitForTimeout(600);
      const made = await page.evaluate(() => document.querySelectorAll('main img, main script, dialog img, dialog script, a[href^="javascript:"]').length);
      return [made ? `${made} elements came out of text` : '', await tooWide(page)];
    });
    fixture.scene.name = 'normal';
    return problems;
  });
}

async function objectives() {
  const { slos } = fixture.scene;
  const row = (page, name) => page.locator('tbody tr.row', { hasText: name });
  await test('slos: what burns first, with its numbers; what lacks data says what', () =>
    withPage('/slos', async (page) => {
      await page.getByText('2 of 5 burn, or have little or nothing left').waitFor();
      const names = (await page.locator('tbody tr.row a.name').allInnerTexts()).map((text) => text.slice(0, 16)).join(' ');
      const problems = [want(names, 'checkout-availab catalog-latency pay-errors cart-availabilit a-name-that-goes', 'order')];
      const first = await row(page, 'checkout-availability').innerText();
      for (const part of ['Burns', '99.9 %', '30 days', '99.876 %', '24 % over', '124', '30.4', '5.1', '1.24', '14 min ago', 'used up']) problems.push(first.includes(part) ? '' : `not said of what burns: ${part}`);
      const low = await row(page, 'catalog-latency').innerText();
      problems.push(/Nearly gone/.test(low) && /5.3 % left/.test(low) && /95.26 %/.test(low) ? '' : `nearly gone: ${low}`);
      problems.push(/Not enough data.*no increase of http_requests_total/s.test(await row(page, 'pay-errors').innerText()) ? '' : 'what is missing is not said');
      problems.push(/Not judged/.test(await row(page, 'a-name-that').innerText()) ? '' : 'one that is off does not say so');
      await page.getByLabel('Filter objectives').fill('cart');
      problems.push(want(await page.locator('tbody tr.row').count(), 1, 'filtered'));
      return problems;
    }));
  await test('slos: rows, opening, defining and going back with the keyboard', () =>
    withPage('/slos', async (page) => {
      await page.keyboard.press('j');
      await page.keyboard.press('j');
      await page.keyboard.press('Enter');
      await page.waitForTimeout(150);
      const problems = [want(await here(page), '/slos/catalog-latency', 'Enter')];
      await page.keyboard.press('Escape');
      await page.waitForTimeout(150);
      problems.push(want(await here(page), '/slos', 'Escape'));
      await page.keyboard.press('n');
      await page.getByRole('heading', { name: 'Define an objective' }).waitFor();
      problems.push(want(await here(page), '/slos?define=1', 'n'));
      await page.keyboard.press('Escape');
      await page.getByRole('heading', { name: 'Service level objectives' }).waitFor();
      await page.keyboard.press('Control+k');
      await page.keyboard.type('catalog-latency');
      await page.getByRole('option', { name: 'catalog-latency' }).waitFor();
      await page.keyboard.press('Enter');
      await page.waitForTimeout(150);
      problems.push(want(await here(page), '/slos/catalog-latency', 'palette'));
      return problems;
    }));
  await test('slos: none yet, how to define one with a service that is there', async () => {
    fixture.scene.name = 'empty';
    const problems = await withPage('/slos', async (page) => {
      await page.getByText('No objective is defined yet').waitFor();
      const text = await page.getByRole('region', { name: 'OpenSLO example' }).innerText();
      return [/kind: SLO/.test(text) && /target: 0.999/.test(text) ? '' : `no example: ${text}`, (await page.getByText('--data-binary @slo.yaml').count()) ? '' : 'no command', ...(await axe(page))];
    });
    fixture.scene.name = 'normal';
    return problems;
  });
  await test('slo: how it stands, its tiers and charts, when it burnt', () =>
    withPage('/slos/checkout-availability', async (page) => {
      await page.getByText('It burns its error budget 30.4 times too fast').waitFor();
      const problems = [want(await page.locator('.u-over').count(), 2, 'charts')];
      const tiers = await page.getByRole('region', { name: 'Tiers, table' }).locator('tbody tr').allInnerTexts();
      problems.push(want(tiers.map((t) => t.replaceAll(/\s+/g, ' ').trim()).join('; '), '14.4 1 hour 30.4 reached 5 minutes 124 reached woken (page); 6 6 hours 5.1 30 minutes 61.2 reached woken (page); 3 1 day 1.9 2 hours 15.2 reached told (ticket); 1 3 days 1.24 reached 6 hours 5.1 reached told (ticket)', 'tiers'));
      const said = page.getByRole('region', { name: 'When it burnt' });
      problems.push(want(await said.getByRole('link', { name: 'inc-3, Inventory answers slowly' }).getAttribute('href'), '/incidents/inc-3', 'its incident'));
      await page.getByText('As OpenSLO').click();
      problems.push((await page.getByText('signal: requests').count()) ? '' : 'no definition', ...(await axe(page)));
      return problems;
    }));
  await test('slo: another window has other tiers; one that does not exist says so', async () => {
    const problems = await withPage('/slos/catalog-latency', async (page) => {
      const tiers = await page.getByRole('region', { name: 'Tiers, table' }).locator('tbody tr').allInnerTexts();
      return [/14 minutes/.test(tiers[0]) && /1 minute\b/.test(tiers[0]) ? '' : `tiers of seven days: ${tiers[0]}`, (await page.getByText('The windows fit a budget over 7 days').count()) ? '' : 'not explained', (await page.getByText('take 250 ms at most').count()) ? '' : 'the threshold is not said'];
    });
    problems.push(...(await withPage('/slos/nothing', async (page) => {
      await page.getByText('no objective "nothing"').waitFor();
      return axe(page);
    })));
    return problems;
  });
  await test('slo: removed after a question', () =>
    withPage('/slos/cart-availability', async (page) => {
      await page.getByRole('button', { name: 'Remove' }).click();
      const dialog = page.getByRole('dialog', { name: 'Remove cart-availability?' });
      const problems = [...(await axe(page)), want(slos.removed.length, 0, 'removed before it was asked')];
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'hidden' });
      problems.push(want(slos.removed.length, 0, 'removed though not confirmed'));
      await page.getByRole('button', { name: 'Remove' }).click();
      await dialog.getByRole('button', { name: 'Remove objective' }).click();
      await page.getByText('Objective cart-availability removed').waitFor();
      problems.push(want(slos.removed.join(), 'cart-availability', 'removed'), want(await here(page), '/slos', 'where it goes on'));
      slos.removed.length = 0;
      return problems;
    }));
  await test('slo: the form writes OpenSLO, which is checked and saved', () =>
    withPage('/slos?define=1&service=service:shop/payments', async (page) => {
      slos.set.length = 0;
      const text = page.getByLabel('OpenSLO v1, YAML');
      const save = page.getByRole('button', { name: 'Save objective' });
      await page.getByText('99.9 % good over 30 days').waitFor();
      const problems = [want(await page.getByLabel('Name').inputValue(), 'payments-availability', 'name')];
      await page.getByLabel('Requests that do not fail and are quick').check();
      problems.push(want(await page.getByLabel('Name').inputValue(), 'payments-latency', 'the name follows'));
      await page.getByLabel('At most, milliseconds').fill('120');
      await page.getByLabel('Promised, %').fill('99.95');
      await page.getByLabel('Over').fill('7d');
      await page.getByLabel('Name').fill('pay: quick');
      await page.getByText('99.95 % good over 7 days').waitFor();
      await page.getByText('take 120 ms at most').waitFor();
      const yaml = await text.inputValue();
      for (const part of ['name: "pay: quick"', 'bellwether/entity: service:shop/payments', 'signal: latency', 'thresholdMs: 120', 'duration: 7d', 'target: 0.9995']) problems.push(yaml.includes(part) ? '' : `not in the text: ${part}`);
      await page.getByLabel('Promised, %').fill('120');
      await page.getByText('it must be above 0 and below 1').waitFor();
      problems.push((await save.isDisabled()) ? '' : 'a promise above 100 % can be saved');
      await page.getByLabel('Promised, %').fill('99.5');
      await page.getByText('99.5 % good over 7 days').waitFor();
      problems.push(...(await axe(page)));
      await save.click();
      await page.getByText('Objective pay: quick saved').waitFor();
      problems.push(want(slos.set.map((slo) => `${slo.name} ${slo.service} ${slo.target}`).join(), 'pay: quick service:shop/payments 0.995', 'told to the server'), want(await here(page), '/slos/pay%3A%20quick', 'its page'));
      await page.getByText('It was not looked at yet').waitFor();
      slos.set.length = 0;
      return problems;
    }));
  await test('slo: counters in the form; a text by hand, its problems with their lines', () =>
    withPage('/slos?define=1', async (page) => {
      const text = page.getByLabel('OpenSLO v1, YAML');
      await page.getByLabel('Counters').check();
      await page.getByRole('textbox', { name: 'Bad events' }).fill('http_requests_total{code=~"5.."}');
      await page.getByRole('textbox', { name: 'All events' }).fill('http_requests_total');
      const yaml = await text.inputValue();
      const problems = [yaml.includes('query: "http_requests_total{code=~\\"5..\\"}"') && /bad:[\s\S]*total:/.test(yaml) ? '' : `counters: ${yaml}`];
      await text.fill(yaml.replace('  service:', '  servce:'));
      const list = page.getByRole('list', { name: 'Problems of the text' });
      await list.getByText('did you mean service?').waitFor();
      problems.push(...(await axe(page)));
      problems.push((await page.getByLabel('Promised, %').isDisabled()) ? '' : 'the form writes over what was typed by hand');
      await list.getByRole('button', { name: /^line \d+/ }).click();
      const chosen = await text.evaluate((area) => area.value.slice(area.selectionStart, area.selectionEnd));
      problems.push(/^  servce:/.test(chosen) ? '' : `selected: ${JSON.stringify(chosen)}`);
      await page.getByRole('button', { name: 'Write it from the form again' }).click();
      await list.getByText('did you mean service?').waitFor({ state: 'hidden' });
      problems.push((await text.inputValue()).includes('  service:') ? '' : 'the form did not write the text again');
      return problems;
    }));
  await test('slo: changed where it is defined already', () =>
    withPage('/slos/catalog-latency', async (page) => {
      await page.getByRole('link', { name: 'Change' }).click();
      await page.getByRole('heading', { name: 'Change catalog-latency' }).waitFor();
      await page.getByText('replaces the one of this name').waitFor();
      return [want(await page.getByLabel('At most, milliseconds').inputValue(), '250', 'threshold'), want(await page.getByLabel('Promised, %').inputValue(), '95', 'target'), want(await page.getByLabel('Over').inputValue(), '7d', 'window')];
    }));
  await test('slos: on Now where they burn, and with their service', async () => {
    const problems = await withPage('/', async (page) => {
      const card = page.getByRole('region', { name: 'Error budgets' });
      await card.getByText('burns 30.4 times too fast').waitFor();
      return [want(await card.locator('li').count(), 2, 'objectives on Now')];
    });
    problems.push(...(await withPage('/services/shop/checkout', async (page) => {
      const card = page.getByRole('region', { name: 'Objectives' });
      await card.getByText('24 % over').waitFor();
      return [want(await card.locator('li').count(), 1, 'objectives of checkout')];
    })));
    problems.push(...(await withPage('/services/shop/payments', async (page) => {
      await page.getByText('Nothing is promised of it').waitFor();
      await page.getByRole('region', { name: 'Objectives' }).getByRole('link', { name: 'Define one' }).click();
      await page.waitForTimeout(200);
      return [want(await page.getByLabel('Service', { exact: true }).inputValue(), 'service:shop/payments', 'service of the form')];
    })));
    return problems;
  });
  await test('apart: values with their shares, and the traces that hold one', () =>
    withPage('/incidents/inc-3', async (page) => {
      slos.asked.length = 0;
      const card = page.getByRole('region', { name: 'What sets the bad requests apart' });
      const first = card.locator('ol > li').first();
      const text = (await first.innerText()).replaceAll(/\s+/g, ' ');
      const problems = [/service.version = 1.8.2 of the bad 98 % 118 of 120 of the good 8.0 % 310 of 3,880/.test(text) ? '' : `first: ${text}`, /and 1 more/.test(text) ? '' : 'what the same requests have is not said'];
      await card.getByLabel('Requests to').selectOption('service:shop/checkout');
      await page.waitForTimeout(300);
      problems.push(want(JSON.stringify(slos.asked.at(-1)), '["service:shop/checkout",""]', 'asked'));
      await card.getByRole('link', { name: /service.version/ }).click();
      await page.getByText('remove filter').waitFor({ state: 'attached' });
      const asked = new URLSearchParams((await here(page)).split('?')[1]);
      problems.push(want(asked.get('fields'), '[["service.version","1.8.2",true]]', 'fields'), want(asked.get('entity'), 'service:shop/checkout', 'entity'), asked.get('from') && asked.get('to') ? '' : 'no time range');
      await page.getByText('40 of 40 spans hold it').waitFor();
      problems.push(...(await axe(page)));
      await page.getByRole('button', { name: 'service.version = 1.8.2' }).click();
      await page.getByText('40 spans', { exact: true }).waitFor();
      return problems;
    }));
  await test('apart: in traces with a length that is slow; too few are said to be', () =>
    withPage('/explore?tab=traces&entity=service:shop/payments', async (page) => {
      slos.asked.length = 0;
      const button = page.getByRole('button', { name: 'What sets the bad ones apart?' });
      const problems = [want(slos.asked.length, 0, 'asked before somebody wants to know')];
      await button.click();
      await page.getByText('Too few to compare: 2 of 412 requests to payments failed; at least 3 are needed').waitFor();
      await page.getByLabel('Slow from, in milliseconds').fill('300');
      await page.keyboard.press('Enter');
      await page.getByText('failed or took 300 ms and longer').waitFor();
      problems.push(want(JSON.stringify(slos.asked.at(-1)), '["service:shop/payments","300"]', 'asked'), ...(await axe(page)));
      await button.click();
      problems.push(want(decodeURIComponent(await here(page)), '/explore?tab=traces&entity=service:shop/payments', 'closed'));
      return problems;
    }));
  await test('held against the time before: asked by hand on an incident', () =>
    withPage('/incidents/inc-3', async (page) => {
      const card = page.getByRole('region', { name: 'Held against the time before' });
      await card.getByRole('button', { name: 'Compare' }).click();
      const requests = card.getByRole('region', { name: 'By what services did for requests' });
      await requests.getByText('230 requests, held against 4,120 before').waitFor();
      const first = (await requests.locator('ol > li').first().innerText()).replaceAll(/\s+/g, ' ');
      const series = card.getByRole('region', { name: 'By where the extra arises' });
      const says = await series.innerText();
      return [/payments.*81 %.*no longer goes from charging order/.test(first) ? '' : `first: ${first}`, /errors of frontend, along the calls; undecided/.test(says) ? '' : `series: ${says}`, ...(await axe(page))];
    }));
  await test('apart: in what happened here', () =>
    withPage('/explore?why=2026-01-01T00:00:00Z~2026-01-01T01:00:00Z', async (page) => {
      const part = page.getByRole('dialog').getByRole('region', { name: 'Bad requests' });
      await part.getByText('120 of 4,000 requests failed').waitFor();
      const link = new URL(await part.getByRole('link', { name: /inventory\/operation/ }).getAttribute('href'), 'http://x');
      const why = page.getByRole('dialog').getByRole('region', { name: 'Who is why' });
      await why.getByText('4,120 before').waitFor();
      return [want(await why.getByRole('listitem').filter({ hasText: '81 %' }).count(), 1, 'first suspect'), want(link.searchParams.get('entity'), 'service:shop/inventory', 'whose'), want(link.searchParams.get('q'), 'POST /reserve', 'operation'), want(link.searchParams.get('from'), '2026-01-01T00:00:00.000Z', 'from')];
    }));
}

const MODEL_PAGES = Object.fromEntries(Object.entries(PAGES).filter(([name]) => ['models', 'model', 'experiment', 'compare', 'run'].includes(name)));
const runIdOf = (i) => `${i}`.padStart(32, 'a');

async function modelPages() {
  const { models } = fixture.scene;
  const lastAsked = (path) => models.asked.filter(([asked]) => asked === path).at(-1)?.[1] ?? {};
  await test('models: what is registered, what was tried; search, keys', () =>
    withPage('/models', async (page) => {
      const first = page.getByRole('region', { name: 'Registered models, table' }).locator('tbody tr').first();
      const text = (await first.innerText()).replaceAll(/\s+/g, ' ');
      const problems = [/churn Who is going to leave.*@champion ?v2 @challenger ?v3 3 1 h ago team: risk owner: risk stage: risk and 1 more/.test(text) ? '' : `first: ${text}`];
      const tried = (await page.getByRole('region', { name: 'Experiments, table' }).locator('tbody tr').first().innerText()).replaceAll(/\s+/g, ' ');
      problems.push(/churn Which customers leave\. 5 Finished 1 h ago 0\.904 highest accuracy/.test(tried) ? '' : `experiment: ${tried}`);
      await page.keyboard.press('/');
      await page.keyboard.type('goes-on');
      await page.getByText('No experiment matches').waitFor();
      problems.push(want(await here(page), '/models?q=goes-on', 'URL'), want(lastAsked('registered-models/search').filter, "name ILIKE '%goes-on%'", 'filter'));
      await page.getByLabel('Search models').fill("it's \"so\"");
      await page.getByText('No registered model matches').waitFor();
      problems.push(want(lastAsked('registered-models/search').filter, 'name ILIKE "%it\'s %"', 'filter with quotes'));
      await page.getByRole('button', { name: 'Clear search' }).first().click();
      // The list comes again before a key can move in it.
      await page.getByText('Who is going to leave').first().waitFor();
      await page.getByRole('heading', { name: 'Models', exact: true }).click();
      await page.keyboard.press('j');
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'churn' }).waitFor();
      problems.push(want(await here(page), '/models/churn', 'Enter'));
      return problems;
    }));
  await test('models: nothing there yet: the lines to type, ready to copy', async () => {
    fixture.scene.name = 'empty';
    const problems = await withPage('/models', async (page) => {
      await page.getByText('No experiment was run yet').waitFor();
      await page.getByRole('button', { name: 'Copy', exact: true }).click();
      const copied = await page.evaluate(() => navigator.clipboard.readText());
      return [want(copied, `import mlflow\nmlflow.set_tracking_uri("${fixture.url}")\nmlflow.set_experiment("my-first")`, 'copied'), ...(await axe(page))];
    });
    fixture.scene.name = 'normal';
    return problems;
  });
  await test('model: versions, the newest first; another is chosen; its run, its files, what is never run', () =>
    withPage('/models/churn', async (page) => {
      const detail = page.getByRole('region', { name: 'Version 3', exact: true });
      await detail.getByText('Trained on the data of October.').waitFor();
      const row = (await page.getByRole('region', { name: 'Versions, table' }).locator('tbody tr').first().innerText()).replaceAll(/\s+/g, ' ');
      const problems = [/Version 3 @challenger ?v3 Production Ready 24 h ago aaaaaaaa validation: passed/.test(row) ? '' : `row: ${row}`];
      problems.push((await page.getByRole('region', { name: 'Its run' }).getByText('0.9', { exact: true }).count()) ? '' : 'no metrics of its run');
      const files = page.getByRole('region', { name: 'Files', exact: true });
      problems.push(want(await files.locator('li').filter({ hasText: 'never run here' }).allInnerTexts().then((t) => t.join().replaceAll(/\s+/g, ' ').trim()), 'model.pkl never run here 50 KiB', 'pickles'));
      problems.push(want(await files.getByRole('link', { name: 'Download model.pkl' }).getAttribute('href'), '/ajax-api/2.0/mlflow-artifacts/artifacts/1/models/m-1/artifacts/model.pkl', 'download'));
      await page.getByRole('link', { name: 'Version 1' }).click();
      await page.getByText('They lie outside of this server: s3://elsewhere/churn').waitFor();
      problems.push(want(await here(page), '/models/churn?version=1', 'URL'));
      return problems;
    }));
  await test('model: how it answers, what stands before its aliases, what became of its versions', () =>
    withPage('/models/churn', async (page) => {
      const text = async (name) => (await page.getByRole('region', { name, exact: true }).innerText()).replaceAll(/\s+/g, ' ');
      const answers = await text('How it answers');
      const moves = await text('What became of its versions');
      return [
        /Version 2 ?in use loaded – 128,431 12 21 µs 4 s ago/.test(answers) ? '' : `answers: ${answers}`,
        /Version 3 ?shadow cannot be run: version 3 of model churn: this is not run here: a pickle/.test(answers) ? '' : `reason: ${answers}`,
        /accuracy-floor: accuracy at least 0.9; accuracy worse than that of the version in use by 0.01 at most, on the same data; 1,000 rows predicted; mean error above that of the version before it by 0.01 at most; without model_\*; 1 approval by others than who registered it, before champion, Production/.test(answers) ? '' : `gate: ${answers}`,
        /Version 4 ?canary, 5 % loaded error \+0.018 over 412 labels; 96 % alike 6,310/.test(answers) ? '' : `canary: ${answers}`,
        /Rollout careful Version 4: a canary at 5 % for 12 of 30 minutes/.test(answers) ? '' : `rollout: ${answers}`,
        /Alias canary means version 4 it was a shadow for 60 minutes, and no gate refuses it rollout/.test(moves.replace('(passed accuracy-floor) ', '')) ? '' : `why: ${moves}`,
        /Alias champion means version 2, no longer 1; version 2 is in use now \(passed accuracy-floor\) token:b2/.test(moves) ? '' : `moves: ${moves}`,
        ...(await axe(page)),
      ];
    }));
  const COLUMNS = 'Inputs and answers, then and now';
  await test('model: each column then and now, those that drifted first; shares by keyboard and by pointer', () =>
    withPage('/models/churn', async (page) => {
      const section = page.getByRole('region', { name: COLUMNS });
      const words = (await section.innerText()).replaceAll(/\s+/g, ' ');
      const problems = [
        /version 3 Then, its first 1,000 rows.* Now, 500 rows.* 3 of 10 columns drifted/.test(words) ? '' : `about: ${words.slice(0, 200)}`,
        /age Drifted 18 82 mean 48.3 \(was 40.1\) never missing distance 0.41, chance <0.001/.test(words) ? '' : `age: ${words}`,
        /region_code 7 mean 7 \(was 7\) never missing not compared coupon No values on either side/.test(words) ? '' : 'what cannot be compared',
        want((await section.locator('h3').allInnerTexts()).slice(0, 4).join(), 'age,plan,last_invoice_eur,prediction', 'order'),
      ];
      const age = section.getByRole('slider').first();
      problems.push(want(await age.getAttribute('aria-label'), 'age; drifted; mean 48.3 (was 40.1); never missing', 'accessible text'));
      await age.focus();
      problems.push(want(await age.getAttribute('aria-valuetext'), 'below 21.2: <0.1 %, was <0.1 %', 'the first bin'));
      await page.keyboard.press('End');
      problems.push(want(await age.getAttribute('aria-valuetext'), 'from 78.8: <0.1 %, was 0 %', 'the last bin'));
      for (const key of ['Home', 'ArrowRight', 'ArrowRight', 'ArrowDown', 'ArrowRight', 'ArrowRight', 'ArrowLeft']) await page.keyboard.press(key);
      problems.push(want(await age.getAttribute('aria-valuetext'), '30.8 to 34: 1.2 %, was 6.9 %', 'a bin between'));
      await section.getByText('stays', { exact: true }).hover();
      await section.getByText('stays: 79 %, was 82 %').waitFor();
      await section.getByRole('button', { name: 'All values of city' }).click();
      await section.getByText('Bellinzona').waitFor();
      problems.push(...(await axe(page)), await shifted(page));
      return problems;
    }));
  await test('model: a column is found by its name, which the URL keeps', () =>
    withPage('/models/churn', async (page) => {
      const section = page.getByRole('region', { name: COLUMNS });
      await section.getByLabel('Find a column').fill('age');
      await section.getByText('1 of 10 columns').waitFor();
      const problems = [want(await here(page), '/models/churn?column=age', 'URL'), want(await section.locator('h3').count(), 1, 'columns')];
      await section.getByLabel('Find a column').fill('nothing');
      await section.getByText('No column has this name').waitFor();
      await section.getByRole('button', { name: 'Clear filter' }).click();
      await section.getByText('3 of 10 columns drifted').waitFor();
      return problems;
    }));
  await test('model: too few rows, none in this range and none at all are told apart', async () => {
    const say = (path, ...texts) =>
      withPage(path, async (page) => {
        const section = page.getByRole('region', { name: COLUMNS });
        for (const text of texts) await section.getByText(text).waitFor();
        return axe(page);
      });
    const problems = await say('/models/churn?version=1', 'the window has 12 of the 30 rows that a comparison needs: 18 more', '10 columns, none compared');
    problems.push(...(await say('/models/churn?version=2', 'No predictions of version 2 in this range', 'a comparison needs 30')));
    fixture.scene.name = 'empty';
    problems.push(...(await say('/models/churn', 'No predictions are kept yet', 'bellwether.log')));
    fixture.scene.name = 'normal';
    return problems;
  });
  await test('model: of two hundred columns some are drawn, the others on demand', async () => {
    fixture.scene.name = 'huge';
    const problems = await withPage('/models/churn', async (page) => {
      const section = page.getByRole('region', { name: COLUMNS });
      await section.getByText('only the first 200 columns').waitFor();
      const found = [want(await section.locator('h3').count(), 24, 'columns at first')];
      await section.getByRole('button', { name: 'Show all 200' }).click();
      await section.getByText('feature_199').waitFor();
      found.push(want(await section.locator('h3').count(), 200, 'columns'), await tooWide(page), ...(await axe(page)));
      return found;
    });
    fixture.scene.name = 'normal';
    return problems;
  });
  await test('model: an alias is moved, set and removed after it was said what it means; refusals as they are', () =>
    withPage('/models/churn?version=3', async (page) => {
      models.told.length = 0;
      const open = page.getByRole('button', { name: 'Set alias' });
      await open.click();
      const dialog = page.getByRole('dialog');
      const field = dialog.getByLabel('Alias');
      await field.fill('champion');
      await dialog.getByText('champion means version 2 now. It will mean version 3.').waitFor();
      const problems = [...(await axe(page)), want(models.told.length, 0, 'told before it was confirmed')];
      await dialog.getByRole('button', { name: 'Move alias' }).click();
      await page.getByText('Alias champion now means version 3').waitFor();
      problems.push(want(JSON.stringify(models.told.at(-1)), '["POST",{"name":"churn","alias":"champion","version":"3"}]', 'moved'));
      await page.getByRole('button', { name: 'Remove alias champion' }).waitFor();
      await open.click();
      await field.fill('champion');
      await dialog.getByText('champion means version 3 already').waitFor();
      problems.push((await dialog.getByRole('button', { name: 'Move alias' }).isDisabled()) ? '' : 'it can be moved to where it is');
      await field.fill('not good');
      await dialog.getByText('not good is new').waitFor();
      await dialog.getByRole('button', { name: 'Set alias' }).click();
      await dialog.getByText("Invalid alias name: 'not good'.").waitFor();
      problems.push((await dialog.getByText('INVALID_PARAMETER_VALUE').count()) ? '' : 'no code', ...(await axe(page)));
      await page.keyboard.press('Escape');
      await page.getByRole('button', { name: 'Remove alias champion' }).click();
      await dialog.getByText('champion means version 3 now').waitFor();
      await dialog.getByRole('button', { name: 'Remove alias' }).click();
      await page.getByText('Alias champion removed').waitFor();
      problems.push(want(JSON.stringify(models.told.at(-1)), '["DELETE",{"name":"churn","alias":"champion"}]', 'removed'));
      models.aliases = undefined;
      return problems;
    }));
  await test('experiment: a click sorts, a filter is asked, its error stands under it', () =>
    withPage('/experiments/1', async (page) => {
      const table = page.getByRole('region', { name: 'Runs, table' });
      const first = async () => (await table.locator('tbody tr').first().innerText()).replaceAll(/\s+/g, ' ').trim();
      const problems = [/^fit-0 Finished 1 h ago 1 min 35 s maria 0\.9 0\.4 12\.5 0 saga/.test(await first()) ? '' : `first: ${await first()}`];
      const head = table.getByRole('columnheader', { name: 'accuracy' });
      await head.getByRole('button').click();
      await table.locator('tbody tr').first().getByText('fit-4').waitFor();
      problems.push(want(JSON.stringify(lastAsked('runs/search').order_by), '["metrics.`accuracy` DESC"]', 'order'), want(await head.getAttribute('aria-sort'), 'descending', 'aria-sort'));
      await page.keyboard.press('/');
      await page.keyboard.type('params.C > 3');
      await page.keyboard.press('Enter');
      await page.getByText("Expected a quoted string value for parameter (e.g. 'my-value'). Got value 3").waitFor();
      problems.push((await page.getByText('the runs below are those from before').count()) ? '' : 'it is not said that the rows are old');
      problems.push(want(await page.getByLabel('Filter runs').getAttribute('aria-invalid'), 'true', 'aria-invalid'), ...(await axe(page)));
      await page.getByLabel('Filter runs').fill('metrics.accuracy > 0.9');
      await page.keyboard.press('Enter');
      await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 2);
      problems.push(want(new URLSearchParams((await here(page)).split('?')[1]).get('filter'), 'metrics.accuracy > 0.9', 'filter in the URL'));
      await page.getByLabel('Filter runs').fill("params.x = 'nothing'");
      await page.keyboard.press('Enter');
      await page.getByText('No run fits the filter').waitFor();
      return problems;
    }));
  await test('experiment: columns are chosen, a NaN is one; runs are selected and compared by keyboard', () =>
    withPage('/experiments/1', async (page) => {
      const table = page.getByRole('region', { name: 'Runs, table' });
      const problems = [(await table.getByText('NaN', { exact: true }).count()) === 1 ? '' : 'NaN is not shown'];
      await page.getByRole('button', { name: 'Columns' }).click();
      const dialog = page.getByRole('dialog', { name: 'Columns' });
      await dialog.getByLabel('loss').uncheck();
      await dialog.getByLabel('seed').check();
      problems.push(...(await axe(page)));
      await page.keyboard.press('Escape');
      problems.push(want(new URLSearchParams((await here(page)).split('?')[1]).get('columns'), '["metrics.accuracy","metrics.seconds_to_fit","params.C","params.solver","params.seed"]', 'columns'));
      problems.push(want(await table.getByRole('columnheader', { name: 'loss' }).count(), 0, 'loss is still a column'));
      for (const key of ['j', 'x', 'j', 'x']) await page.keyboard.press(key);
      await page.getByText('2 selected').waitFor();
      await page.keyboard.press('c');
      await page.getByRole('heading', { name: '2 runs side by side' }).waitFor();
      problems.push(want(new URLSearchParams((await here(page)).split('?')[1]).get('compare'), `${runIdOf(0)},${runIdOf(1)}`, 'compared'));
      return problems;
    }));
  await test('compare: what differs is marked, one chart a metric, over steps or time', () =>
    withPage(PAGES.compare, async (page) => {
      const table = page.getByRole('region', { name: 'Parameters, table' });
      const rows = (await table.locator('tbody tr').allInnerTexts()).map((t) => t.replaceAll(/\s+/g, ' ').trim());
      const problems = [want(rows.join('; '), 'C differs 0 1 2; seed 7 7 7; solver differs saga lbfgs saga', 'parameters')];
      problems.push(want(await page.locator('.u-over').count(), 2, 'charts'), (await page.getByText('3 of 120 values are NaN or infinite').count()) ? '' : 'NaN is not told');
      await page.getByRole('link', { name: 'Only what differs' }).click();
      await page.waitForFunction(() => document.querySelectorAll('tbody tr').length === 5);
      await page.getByRole('link', { name: 'Time since start' }).click();
      await page.getByRole('heading', { name: 'Metrics over time' }).waitFor();
      await page.getByRole('link', { name: 'Chart 1 more' }).click();
      await page.waitForFunction(() => document.querySelectorAll('.u-over').length === 3);
      problems.push(/differs=1.*x=time.*charts=/.test(await here(page)) ? '' : `URL: ${await here(page)}`, ...(await axe(page)));
      await page.getByRole('link', { name: 'Leave out fit-2' }).click();
      await page.getByRole('heading', { name: '2 runs side by side' }).waitFor();
      return problems;
    }));
  await test('compare: a run that is gone is named, the others stay', () =>
    withPage(`/experiments/1?compare=${runIdOf(0)},gone`, async (page) => {
      await page.getByText('Run with id=gone not found').waitFor();
      return [want(await page.getByRole('region', { name: 'Parameters, table' }).locator('thead th').count(), 2, 'columns')];
    }));
  await test('run: what it was given, measured and left; what it belongs to', () =>
    withPage(`/runs/${runIdOf(0)}`, async (page) => {
      const problems = [want(await page.locator('.u-over').count(), 2, 'charts')];
      const related = await page.getByRole('region', { name: 'Belongs together' }).innerText();
      for (const part of ['fit-3', 'm-1', 'ready', 'm-lost', 'not found', 'churn, version 3']) problems.push(related.includes(part) ? '' : `does not say: ${part}`);
      problems.push((await page.getByRole('region', { name: 'Data sets' }).getByText('5a5c68bf').count()) ? '' : 'no data set');
      await page.getByRole('region', { name: 'Belongs together' }).getByRole('link', { name: 'model', exact: true }).click();
      const files = page.getByRole('region', { name: 'Files of model model' });
      problems.push(want(await files.getByRole('link', { name: 'Download MLmodel' }).getAttribute('href'), '/ajax-api/2.0/mlflow-artifacts/artifacts/1/models/m-1/artifacts/MLmodel', 'a file of its model'), want(await here(page), `/runs/${runIdOf(0)}?model=m-1`, 'URL'));
      await files.getByRole('link', { name: 'Files of the run' }).click();
      await page.getByRole('region', { name: 'Files', exact: true }).waitFor();
      await page.getByRole('region', { name: 'Belongs together' }).getByRole('link', { name: 'fit-3' }).click();
      await page.getByRole('heading', { name: 'fit-3' }).waitFor();
      await page.getByRole('region', { name: 'Belongs together' }).getByRole('link', { name: 'fit-0' }).click();
      await page.getByRole('heading', { name: 'fit-0' }).waitFor();
      await page.keyboard.press('Escape');
      await page.waitForTimeout(150);
      problems.push(want(await here(page), '/experiments/1', 'Escape'));
      return problems;
    }));
  await test('run: folders are browsed, texts shown as texts, also pages', async () => {
    fixture.scene.name = 'hostile';
    const problems = await withPage(`/runs/${runIdOf(0)}`, async (page) => {
      const files = page.getByRole('region', { name: 'Files', exact: true });
      await files.getByRole('link', { name: 'page.html', exact: true }).click();
      await files.getByText('<h1>a page</h1><img src=x').waitFor();
      const made = [want(await page.locator('main h1').count(), 1, 'headings'), want(await page.locator('main img').count(), 0, 'images'), want(await files.getByRole('link', { name: 'big.csv', exact: true }).count(), 0, 'a big file can be shown')];
      made.push(...(await axe(page)));
      await files.getByRole('link', { name: 'notes/' }).click();
      await files.getByText('read.me.txt').waitFor();
      made.push(want(await here(page), `/runs/${runIdOf(0)}?path=notes`, 'URL'));
      await files.getByRole('link', { name: 'top' }).click();
      await files.getByText('MLmodel').waitFor();
      return made;
    });
    fixture.scene.name = 'normal';
    return problems;
  });
  await test('models: a thousand runs, models and versions are paged', async () => {
    fixture.scene.name = 'huge';
    const problems = await withPage('/experiments/1', async (page) => {
      const found = [want(await page.locator('tbody tr').count(), 100, 'runs')];
      await page.getByRole('link', { name: 'Next page' }).click();
      await page.getByText('fit-100', { exact: true }).waitFor();
      found.push(/page=/.test(await here(page)) ? '' : 'the page is not in the URL');
      await page.goBack();
      await page.getByText('fit-0', { exact: true }).waitFor();
      return found;
    });
    problems.push(...(await withPage('/models', async (page) => {
      await page.getByRole('navigation', { name: 'Pages of registered models' }).getByRole('link', { name: 'Next page' }).click();
      await page.getByText('model-23', { exact: true }).waitFor();
      return [];
    })));
    fixture.scene.name = 'normal';
    return problems;
  });
  await test('models: loading holds the place, errors have their code, nothing breaks on hostile text', async () => {
    const problems = [];
    for (const scene of ['slow', 'error', 'hostile', 'huge']) {
      fixture.scene.name = scene;
      for (const [name, path] of chosen(MODEL_PAGES)) {
        const view = await open(browser);
        await view.page.goto(fixture.url + path);
        await (scene === 'slow' ? view.page.waitForTimeout(500) : settled(view.page));
        const found = [...view.bad, await tooWide(view.page)];
        if (scene === 'slow') found.push((await view.page.locator('main [role=status][aria-label=Loading]').count()) ? '' : 'nothing says that it loads');
        if (scene === 'error') found.push(/data folder is full[\s\S]*TEMPORARILY_UNAVAILABLE/.test(await view.page.locator('main').innerText()) ? '' : 'the error is not told');
        if (scene === 'hostile') found.push(want(await view.page.locator('main img, main script').count(), 0, 'made out of text'));
        if (scene === 'huge') found.push((await view.page.evaluate(() => document.querySelectorAll('*').length)) > 12_000 ? 'too many elements' : '');
        problems.push(...found.filter(Boolean).map((text) => `${scene}: ${name}: ${text}`));
        await view.close();
      }
    }
    fixture.scene.name = 'normal';
    return problems;
  });
}

const only = process.env.ONLY ?? '';
if (!only || only.includes('pages')) await eachPage(fixture.url, 'normal');
if (!only || only.includes('pages') || only.includes('empty')) await eachPage(fixture.url, 'empty');
fixture.scene.name = 'normal';
if (!only || only.includes('keys')) await keyboard();
if (!only || only.includes('behaviour')) await behaviour();
if (!only || only.includes('detection')) await detection();
if (!only || only.includes('alerts')) await alerts();
if (!only || only.includes('slos')) await objectives();
if (!only || only.includes('models')) await modelPages();
if (only.includes('models')) for (const scene of ['normal', 'empty']) await eachPage(fixture.url, scene, MODEL_PAGES);
fixture.scene.name = 'normal';
if (process.env.BELLWETHER_URL) {
  const base = process.env.BELLWETHER_URL;
  const [newest] = await (await fetch(`${base}/api/v1/incidents?limit=1`)).json();
  const [service] = await (await fetch(`${base}/api/v1/services`)).json();
  const pages = { ...PAGES };
  delete pages.incident;
  delete pages.service;
  delete pages.trace;
  delete pages.forecast;
  for (const name of ['slo', 'model', 'experiment', 'compare', 'run']) delete pages[name];
  const [rate] = await (await fetch(`${base}/api/v1/series?metric=bellwether.requests.rate&limit=1`)).json();
  if (rate) pages.forecast = `/explore?metric=${rate.metric}&forecast=${rate.series}&ahead=1h&threshold=100000`;
  if (newest) pages.incident = `/incidents/${newest.id}`;
  if (service) pages.service = `/services/${service.entity.split(':')[1]}`;
  const [objective] = await (await fetch(`${base}/api/v1/slos`)).json();
  if (objective) pages.slo = `/slos/${encodeURIComponent(objective.name)}`;
  const mlflow = async (path, body) => (await fetch(`${base}/ajax-api/2.0/mlflow/${path}`, body && { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })).json();
  const experiments = (await mlflow('experiments/search', { max_results: 50 })).experiments ?? [];
  const { runs: [run] = [] } = await mlflow('runs/search', { experiment_ids: experiments.map((e) => e.experiment_id), max_results: 1 });
  if (run) Object.assign(pages, { experiment: `/experiments/${run.info.experiment_id}`, run: `/runs/${run.info.run_id}`, compare: `/experiments/${run.info.experiment_id}?compare=${run.info.run_id}` });
  const { registered_models: [model] = [] } = await mlflow('registered-models/search');
  if (model) pages.model = `/models/${encodeURIComponent(model.name)}`;
  await eachPage(base, 'real', pages);
}
await browser.close();
fixture.close();
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed ? 1 : 0);
