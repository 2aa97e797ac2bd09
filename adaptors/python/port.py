#!/usr/bin/env python3
"""Ports an adaptor of FIRST: `port.py FILE NAME FOLDER` writes a project around the file, which is copied and not changed,
into a folder that holds the SDK already, and says on standard output, as JSON, what the file needs that is not carried.
"""

import ast
import json
import re
import sys
from pathlib import Path

SDK = Path(__file__).absolute().parent
FIRST = SDK / "first"
BASES = {"BaseEndpoint": "endpoint", "DirectAPIEndpoint": "endpoint", "MetisEndpoint": "endpoint"}
BASES |= {"BaseCluster": "cluster", "DirectAPICluster": "cluster", "MetisCluster": "cluster"}

#: Modules of others that adaptors import, and what to do in their place.
REMEDIES = {
    "requests": "use `httpx`, which goes through the gateway",
    "aiohttp": "use `httpx`, which goes through the gateway",
    "urllib3": "use `httpx`, which goes through the gateway",
    "globus_sdk": "use the bundled adaptor `globus-compute`, which speaks to Globus over HTTPS",
    "globus_compute_sdk": "use the bundled adaptor `globus-compute`, which speaks to Globus over HTTPS",
    "redis": "use `django.core.cache`, which is the gateway's cache here",
    "cachetools": "use `django.core.cache`: nothing stays in memory between two requests",
    "django.conf": "put the setting into the endpoint's `config`",
    "django.db": "there is no database: keep what is needed in the endpoint's `config`, or in `django.core.cache`",
    "resource_server_async.models": "there is no database: `self.task`, `self.user` and `config` have what a task needs",
    "resource_server_async.clusters.metis": "use the bundled adaptor `metis`, or read the manifest at `status_url` here",
    "resource_server_async.endpoints.globus_compute": "use the bundled adaptor `globus-compute`",
    "utils": "copy what you need of FIRST's `utils` into the project",
    "numpy": "it is compiled for another machine: only packages in pure Python can go into the component",
    "dotenv": "there is no environment: put values into `config`, and secrets into `api_key_env_name`",
}
#: Modules of Python that import, and do nothing useful in the sandbox.
DOORS = {
    "socket": "use `httpx`: there are no sockets",
    "subprocess": "there are no other programs",
    "multiprocessing": "there is one process",
    "threading": "there is one thread; `asyncio.gather` works",
    "concurrent": "there is one thread; `asyncio.gather` works",
    "sqlite3": "there are no files",
    "urllib.request": "use `httpx`, which goes through the gateway",
    "http.client": "use `httpx`, which goes through the gateway",
    "ssl": "the gateway speaks TLS",
}
ENVIRONMENT = (
    "the environment is empty in the sandbox: name the key's variable as `api_key_env_name` in `config`, and the gateway "
    "adds the key on the way; put other values into `config`"
)
CREDENTIALS = {"authorization", "x-api-key", "api-key", "cookie"}


class Finder(ast.NodeVisitor):
    """Reads a file: classes, keys of the configuration, and what cannot be carried."""

    def __init__(self, name):
        self.name = name
        self.classes = []
        self.keys = []
        self.findings = []
        self.depth = 0

    def find(self, node, what, remedy, breaks=True):
        self.findings.append({"line": node.lineno, "what": what, "remedy": remedy, "breaks": breaks})

    def visit_ClassDef(self, node):
        bases = [base.attr if isinstance(base, ast.Attribute) else getattr(base, "id", None) for base in node.bases]
        kind = next((BASES[base] for base in bases if base in BASES), None)
        if kind:
            self.classes.append((node.name, kind, bases[0]))
        self.generic_visit(node)

    def visit_FunctionDef(self, node):
        self.depth += 1
        self.generic_visit(node)
        self.depth -= 1

    visit_AsyncFunctionDef = visit_FunctionDef

    def visit_Import(self, node):
        for alias in node.names:
            self.module(node, alias.name, [])

    def visit_ImportFrom(self, node):
        if node.level:
            text = "." * node.level + (node.module or "")
            self.find(node, f"`from {text} import …`", "name the module in full: `resource_server_async.…`")
            return
        self.module(node, node.module, [alias.name for alias in node.names])

    def module(self, node, module, names):
        parts = module.split(".")
        prefixes = [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
        known = next((each for each in prefixes if each in REMEDIES), None)
        door = next((each for each in prefixes if each in DOORS), None)
        if known:
            self.find(node, f"`{module}` is not there", REMEDIES[known])
        elif door:
            self.find(node, f"`{module}` has nothing behind it", DOORS[door])
        elif parts[0] in ("httpx", "pydantic", "django", "asgiref", "resource_server_async"):
            self.stand_in(node, module, names)
        elif parts[0] != "airlock_adaptor" and parts[0] not in sys.stdlib_module_names:
            remedy = "copy it into the project, if it is pure Python; others cannot go into the component"
            self.find(node, f"`{module}` is not there", remedy)
        if self.depth:
            remedy = "import it at the top of the file: there are no files to import from while a request runs"
            self.find(node, f"`{module}` is imported within a function", remedy)

    def stand_in(self, node, module, names):
        """The SDK has some of these modules, and some of their names."""
        path = FIRST.joinpath(*module.split("."))
        file = path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
        if not file.is_file():
            self.find(node, f"`{module}` is not there", "write what you need of it into the file")
            return
        has = top_names(file)
        for name in names:
            if name not in has and name != "*" and not (path / f"{name}.py").is_file():
                self.find(node, f"`{module}` has no `{name}` here", f"it has {', '.join(sorted(has)) or 'nothing'}")

    def visit_Call(self, node):
        called = ast.unparse(node.func)
        if called == "open":
            self.find(node, "`open(…)`", "there are no files: put the value into the endpoint's `config`")
        elif called in ("os.getenv", "os.environ.get"):
            self.find(node, f"`{ast.unparse(node)}`", ENVIRONMENT)
        elif called.endswith("create_task"):
            remedy = "what runs beside a request ends with its reply: await it, or leave it out (the gateway keeps the log)"
            self.find(node, f"`{called}(…)`", remedy, breaks=False)
        elif called.endswith(".load_adapter"):
            self.find(node, f"`{called}(…)`", "an adaptor sees itself alone: ask the backend over `httpx`")
        elif called == "super().__init__":
            given = [ast.unparse(each) for each in [*node.args, *(keyword.value for keyword in node.keywords)]]
            for name in ("tpm_model", "tpm_user"):
                if name in given:
                    self.find(node, f"`{name}` is handed to the base", "leave it out: limits are the gateway's business")
        elif called in ("self.config.get", "config.get") and node.args and isinstance(node.args[0], ast.Constant):
            self.key(node.args[0].value)
        self.generic_visit(node)

    def visit_Subscript(self, node):
        text = ast.unparse(node.value)
        if text == "os.environ":
            self.find(node, f"`{ast.unparse(node)}`", ENVIRONMENT)
        elif text in ("self.config", "config", "self._config") and isinstance(node.slice, ast.Constant):
            self.key(node.slice.value)
        self.generic_visit(node)

    def visit_Attribute(self, node):
        if ast.unparse(node.value) in ("self.config", "self.__config") and node.attr not in dir(dict):
            self.key(node.attr)
        elif node.attr == "objects":
            self.find(node, f"`{ast.unparse(node)}`", REMEDIES["django.db"])
        self.generic_visit(node)

    def visit_Dict(self, node):
        for key in node.keys:
            if isinstance(key, ast.Constant) and str(key.value).lower() in CREDENTIALS:
                remedy = "take it out: the gateway adds the key that `api_key_env_name` names in `config`, and refuses others"
                self.find(key, f"the header `{key.value}`", remedy)
        self.generic_visit(node)

    def visit_Global(self, node):
        remedy = "nothing stays in memory between two requests: use `django.core.cache`"
        self.find(node, f"`global {', '.join(node.names)}`", remedy, breaks=False)

    def key(self, name):
        if isinstance(name, str) and name not in self.keys:
            self.keys.append(name)


def top_names(file):
    """What a stand-in defines or imports."""
    names = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.add(node.name)
        elif isinstance(node, ast.Assign):
            names.update(target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.ImportFrom) and node.module != "__future__":
            names.update(alias.asname or alias.name for alias in node.names)
    return {name for name in names if not name.startswith("_") and name not in ("Any", "Callable")}


def config_of(keys, is_direct):
    """A configuration to begin with: the keys that the file reads."""
    keys = [*(["api_url"] if is_direct else []), *keys]
    config = {}
    for key in keys:
        if key == "api_url":
            config[key] = "http://127.0.0.1:8001/v1"
        elif key.endswith("_url"):
            config[key] = f"http://127.0.0.1:8001/{key.removesuffix('_url')}"
        elif key != "api_key_env_name":
            config[key] = ""
    return config


def fixture_of(kind, name, config):
    """The entry for the fixtures, beside which the component lies."""
    adapter = f"dist/{name}.wasm"
    if kind == "cluster":
        fields = {"cluster_name": "your-cluster", "cluster_adapter": adapter, "frameworks": ["api"]}
        fields["openai_endpoints"] = ["chat/completions"]
    else:
        fields = {"cluster": "your-cluster", "framework": "api", "model": "your-model", "endpoint_adapter": adapter}
    return [{"model": f"resource_server_async.{kind}", "pk": 1, "fields": {**fields, "config": config}}]


def project_of(name, module, config):
    """`adaptor.toml`"""
    settings = "".join(f"{key} = {json.dumps(value)}\n" for key, value in config.items())
    return f'''name = "{name}"
component = "dist/{name}.wasm"
watch = ["adaptor.py", "{module}.py"]

[setup]
command = ["python3", "airlock-sdk/make_venv.py"]
creates = ".venv"

[build]
command = [".venv/bin/python", "-m", "airlock_adaptor.build", "adaptor", "-o", "dist/{name}.wasm"]

[config]
{settings}'''


def main():
    source, name, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    text = source.read_text()
    try:
        tree = ast.parse(text, source.name)
    except SyntaxError as error:
        sys.exit(f"{source}:{error.lineno}: this is not Python: {error.msg}")
    finder = Finder(source.stem)
    finder.visit(tree)
    if not finder.classes:
        sys.exit(f"{source}: no class here extends BaseEndpoint, DirectAPIEndpoint or BaseCluster, as FIRST's adaptors do")
    module = re.sub(r"\W", "_", source.stem)
    if module in ("adaptor", "airlock_main"):
        sys.exit(f"{source}: the project has a file {module}.py of its own: give this one another name")
    kinds = [kind for _, kind, _ in finder.classes]
    if len(set(kinds)) != len(kinds):
        names = ", ".join(each for each, _, _ in finder.classes)
        sys.exit(f"{source}: a component is one endpoint and one cluster at most, and here are {names}: take some out")
    config = config_of(finder.keys, any(base == "DirectAPIEndpoint" for _, _, base in finder.classes))
    exported = [each for each, _, _ in finder.classes]
    imports = ", ".join(exported)
    files = {
        f"{module}.py": text,
        "adaptor.py": f'"""Makes a component of {module}.py, which is as it was."""\n\n'
        f"from airlock_adaptor import export\nfrom {module} import {imports}\n\nexport({imports})\n",
        "adaptor.toml": project_of(name, module, config),
        "fixture.json": json.dumps([each for kind in kinds for each in fixture_of(kind, name, config)], indent=2) + "\n",
        ".gitignore": ".venv/\ndist/\n__pycache__/\n",
    }
    for path, content in files.items():
        (folder / path).write_text(content)
    findings = sorted(finder.findings, key=lambda finding: finding["line"])
    print(json.dumps({"classes": exported, "kinds": kinds, "files": sorted(files), "findings": findings}))


if __name__ == "__main__":
    main()
