// Pictures of every page: node tests/shots.mjs FOLDER [SCENE] [PAGE,…] [WIDTH,…] [THEME,…]
import { mkdirSync } from 'node:fs';
import { launch, open, PAGES, settled } from './browser.mjs';
import { start } from './fixtures/server.mjs';

const [folder = 'shots', scene = 'normal', only = '', widths = '1440,768,360', themes = 'light,dark'] = process.argv.slice(2);
mkdirSync(folder, { recursive: true });
const fixture = await start();
fixture.scene.name = scene;
const base = process.env.BELLWETHER_URL ?? fixture.url;
const browser = await launch();
for (const theme of themes.split(',')) {
  for (const width of widths.split(',').map(Number)) {
    const { page, bad, close } = await open(browser, { theme, width });
    for (const [name, path] of Object.entries(PAGES)) {
      if (only && !only.split(',').includes(name)) continue;
      await page.goto(base + path);
      await (scene === 'slow' ? page.waitForTimeout(600) : settled(page)).catch((e) => bad.push(`${name}: ${e.message}`));
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
      if (wide > 0) bad.push(`${name} is ${wide} px too wide at ${width}`);
      await page.screenshot({ path: `${folder}/${name}-${theme}-${width}.png`, fullPage: true });
    }
    if (bad.length) console.log(theme, width, [...new Set(bad)]);
    await close();
  }
}
await browser.close();
fixture.close();
process.exit(0);
