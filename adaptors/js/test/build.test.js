import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";

const sdk = fileURLToPath(new URL("../src/index.js", import.meta.url));
const tool = fileURLToPath(new URL("../build.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "airlock-build-"));
after(() => rmSync(folder, { recursive: true }));

/** Builds these lines, which follow an import of the SDK. */
function build(lines) {
  const [entry, component] = [join(folder, "entry.js"), join(folder, "entry.wasm")];
  rmSync(component, { force: true });
  writeFileSync(entry, `import * as sdk from ${JSON.stringify(sdk)};\n${lines}\n`);
  const { status, stderr } = spawnSync("node", [tool, entry, component], { encoding: "utf8" });
  assert.equal(existsSync(component), status === 0, stderr);
  return { status, stderr, component: status === 0 ? readFileSync(component, "latin1") : "" };
}

test("a component asks for what the code uses, and for nothing else", () => {
  const { status, stderr, component } = build(
    "class C extends sdk.BaseCluster { getJobs() { return {}; } }\nexport const { cluster } = sdk.adaptor(C);",
  );
  assert.equal(status, 0, stderr);
  assert.ok(component.includes("airlock:adaptor/logging@0.1.0"));
  for (const absent of ["key-value", "endpoint", "task-body", "wasi:http"]) {
    assert.ok(!component.includes(`airlock:adaptor/${absent}@`) && !component.includes(`${absent}/`), absent);
  }
});

test("mistakes are told with what to do", () => {
  const exported = "export const { endpoint, replies } = sdk.adaptor(class extends sdk.BaseEndpoint {});";
  const cases = [
    ["", "it exports no adaptor: write `export const { endpoint, replies } = adaptor(YourClass);`"],
    [exported.replace(", replies", ""), "`endpoint` and `replies` go together: export both"],
    [`${exported}\nawait 1;`, "Top-level await is not available"],
    [`import fs from "node:fs";\n${exported}\nfs.readFileSync("x");`, 'Could not resolve "node:fs"'],
    [`${exported}\nmissing();`, "missing is not defined"],
    [`${exported}\n{`, 'Unexpected end of file'],
  ];
  for (const [lines, says] of cases) {
    const { status, stderr } = build(lines);
    assert.equal(status, 1, says);
    assert.ok(stderr.includes(says), `${says}: ${stderr}`);
    assert.ok(!stderr.includes("at main"), `no stack of the tool's own: ${stderr}`);
  }
});
