// TypeScript's compiler over values: is this literal of that type? All are asked in one run, in memory.

import ts from 'typescript';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';

const HERE = fileURLToPath(new URL('.', import.meta.url));
const OPTIONS = {
  strict: true, noEmit: true, skipLibCheck: true, types: [],
  module: ts.ModuleKind.NodeNext, moduleResolution: ts.ModuleResolutionKind.NodeNext, target: ts.ScriptTarget.ES2022,
};

/** For each source text, what the compiler says about it. */
export function compile(sources) {
  const files = new Map(sources.map((text, n) => [join(HERE, `in-memory-${n}.ts`), text]));
  const host = ts.createCompilerHost(OPTIONS);
  const { getSourceFile, fileExists, readFile } = host;
  host.fileExists = name => files.has(name) || fileExists(name);
  host.readFile = name => files.get(name) ?? readFile(name);
  host.getSourceFile = (name, ...rest) =>
    files.has(name) ? ts.createSourceFile(name, files.get(name), OPTIONS.target) : getSourceFile(name, ...rest);
  const program = ts.createProgram([...files.keys()], OPTIONS, host);
  const said = new Map([...files.keys()].map(name => [name, []]));
  for (const found of ts.getPreEmitDiagnostics(program)) {
    const text = ts.flattenDiagnosticMessageText(found.messageText, ' ');
    const problems = said.get(found.file?.fileName);
    if (!problems) throw new Error(`the compiler fails outside of what it is asked: ${text}`);
    problems.push(text.slice(0, 300));
  }
  return [...said.values()];
}

/** A literal must have this type. */
export const demand = (type, from, value) =>
  `import type { ${type.split('[')[0]} } from '${from}';\nexport const it: ${type} = ${JSON.stringify(value)};\n`;
