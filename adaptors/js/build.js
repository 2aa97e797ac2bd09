#!/usr/bin/env node
// Makes a component of an adaptor: `airlock-adaptor ENTRY COMPONENT`, `airlock-adaptor src/adaptor.js dist/adaptor.wasm`.
//
// esbuild makes one file of all that the entry imports, TypeScript and packages included, and componentize-qjs puts it into
// a component with a QuickJS engine. The component's world is what the file turns out to import and export: it asks for
// nothing that it does not use.

import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

import { componentize } from "componentize-qjs";
import { build } from "esbuild";

const sdk = dirname(fileURLToPath(import.meta.url));

/** What the engine cannot run, since its queue of jobs stands still during a call: `src/engine/jobs.js`. */
const SUPPORTED = {
  "async-await": false,
  "async-generator": false,
  "for-await": false,
  "top-level-await": false,
};

/** Names of the contract and of WASI are the component's imports. One that is not used goes. */
const imports = {
  name: "imports",
  setup({ onResolve }) {
    onResolve({ filter: /^(airlock|wasi):/ }, ({ path }) => ({ path, external: true, sideEffects: false }));
  },
};

/** One file of all that the entry imports. */
async function bundle(entry) {
  const { metafile, outputFiles } = await build({
    entryPoints: [entry],
    inject: [join(sdk, "src/engine/index.js")],
    bundle: true,
    write: false,
    metafile: true,
    format: "esm",
    target: "es2023",
    supported: SUPPORTED,
    conditions: ["airlock"],
    mainFields: ["module", "main"],
    plugins: [imports],
    keepNames: true,
    charset: "utf8",
  });
  const [output] = Object.values(metafile.outputs);
  return { source: outputFiles[0].text, ...output };
}

/** The exports of the contract that the file has. */
function exportsOf(names) {
  const known = ["endpoint", "replies", "cluster", "batch"];
  const found = known.filter((name) => names.includes(name));
  if (found.length === 0) {
    throw new Problem("it exports no adaptor: write `export const { endpoint, replies } = adaptor(YourClass);`");
  }
  if (names.includes("endpoint") !== names.includes("replies")) {
    throw new Problem("`endpoint` and `replies` go together: export both");
  }
  return found;
}

/** An interface's name as the package itself knows it, which the world is part of. */
const inPackage = (path) => path.replace(/^airlock:adaptor\/(.*)@.*$/, "$1");

/** A world of just these imports and exports. */
function worldOf({ imports, exports }) {
  const lines = [
    ...imports.filter(({ external }) => external).map(({ path }) => `import ${inPackage(path)};`),
    ...exportsOf(exports).map((name) => `export ${name};`),
  ];
  return `package airlock:adaptor@0.1.0;\n\nworld javascript {\n${lines.map((line) => `    ${line}\n`).join("")}}\n`;
}

/** The component. Code outside of functions runs here, in the engine, and may fail. */
async function compile(witPath, jsSource) {
  try {
    return (await componentize({ witPath, world: "javascript", jsSource, sync: true })).component;
  } catch (error) {
    throw new Problem(error.message.replace(/^[:\s]+/, "").trim());
  }
}

/** A mistake of the author's, told without a stack. */
class Problem extends Error {}

async function main([entry, component, ...rest]) {
  if (component === undefined || rest.length > 0) {
    throw new Problem("say what to build, and where to put it: airlock-adaptor src/adaptor.js dist/adaptor.wasm");
  }
  const file = await bundle(entry);
  const folder = mkdtempSync(join(tmpdir(), "airlock-adaptor-"));
  try {
    cpSync(join(sdk, "wit"), folder, { recursive: true, dereference: true });
    writeFileSync(join(folder, "javascript.wit"), worldOf(file));
    const bytes = await compile(folder, file.source);
    mkdirSync(dirname(component), { recursive: true });
    writeFileSync(component, bytes);
    console.log(`${component}: ${Math.ceil(bytes.length / 1024)} KiB`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

main(process.argv.slice(2)).catch((error) => {
  // esbuild has told of its own errors already.
  if (error.errors === undefined) {
    console.error(`error: ${process.argv[2] ?? "airlock-adaptor"}: ${error instanceof Problem ? error.message : error.stack}`);
  }
  process.exitCode = 1;
});
