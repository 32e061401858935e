// What the types of @slack/types and @slack/web-api say about each line of a file: {"name", "value"} in,
// {"name", "problems"} out.
//
// They know no lengths and no counts, so values that differ only in those are one to them: each shape is asked once.

import { readFileSync } from 'node:fs';
import { compile, demand } from './compiler.mjs';

// The strings that types tell apart. Every other one is a string like any other.
const TOLD_APART = new Set(['type', 'style', 'level', 'range', 'parse', 'response_type']);

function shape(value, key) {
  if (Array.isArray(value)) {
    const different = new Map(value.map(one => shape(one, key)).map(one => [JSON.stringify(one), one]));
    return [...different.values()];
  }
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([name, member]) => [name, shape(member, name)]));
  }
  if (typeof value === 'string') return TOLD_APART.has(key) ? value : 'x';
  return typeof value === 'number' ? 1 : value;
}

function type(value) {
  if (value.type === 'modal') return ['ModalView', '@slack/types'];
  if (value.type === 'home') return ['HomeView', '@slack/types'];
  if (value.user) return ['ChatPostEphemeralArguments', '@slack/web-api'];
  return [value.ts ? 'ChatUpdateArguments' : 'ChatPostMessageArguments', '@slack/web-api'];
}

// The arguments also accept blocks that nobody knows; the second constant does not.
const source = value =>
  demand(...type(value), value) +
  `import type { KnownBlock } from '@slack/types';\nexport const blocks: KnownBlock[] = ${JSON.stringify(value.blocks)};\n`;

const shapes = new Map();
const cases = process.argv.slice(2).flatMap(path => readFileSync(path, 'utf8').split('\n').filter(Boolean)).map(line => {
  const { name, value } = JSON.parse(line);
  const text = source(shape(value));
  if (!shapes.has(text)) shapes.set(text, shapes.size);
  return { name, nth: shapes.get(text) };
});
const said = compile([...shapes.keys()]);
for (const { name, nth } of cases) console.log(JSON.stringify({ name, problems: said[nth] }));
console.error(`tsc: ${cases.length} values of ${shapes.size} shapes`);
