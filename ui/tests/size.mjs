// Fails the build where the scripts, compressed, outgrow their limit.
import { readdirSync, readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';

const LIMIT_KB = 200;
const folder = new URL('../dist/assets/', import.meta.url);
let scripts = 0;
for (const name of readdirSync(folder)) {
  const size = gzipSync(readFileSync(new URL(name, folder))).length / 1024;
  if (name.endsWith('.js')) scripts += size;
  console.log(`${name}: ${size.toFixed(1)} kB gzipped`);
}
if (scripts > LIMIT_KB) {
  console.error(`scripts take ${scripts.toFixed(1)} kB gzipped, over the limit of ${LIMIT_KB} kB`);
  process.exit(1);
}
