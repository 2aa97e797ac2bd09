"""Makes the component: `python -m airlock_adaptor.build MODULE -o FILE`, in the project's folder.

The module is imported here first: by what it exports the world of the contract is known, and a mistake shows up as
Python's own traceback. Then componentize-py takes a picture of Python after the same imports.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from airlock_adaptor import _exports

#: Where the SDK is: this package, the stand-ins for FIRST's modules, and the contract.
SDK = Path(__file__).resolve().parent.parent
#: The module that componentize-py takes for the adaptor.
MAIN = "airlock_main"
#: Its command, wherever the virtual environment has been moved to.
TOOL = "import sys, componentize_py; sys.exit(componentize_py.script())"


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m airlock_adaptor.build", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("module", help="the module that calls `export`")
    parser.add_argument("-o", "--output", required=True, type=Path, help="the component's file")
    args = parser.parse_args()
    build(args.module, args.output)


def build(module: str, output: Path) -> None:
    """Builds the component of a module in the current folder."""
    sys.dont_write_bytecode = True
    folders = [str(Path.cwd()), str(SDK), str(SDK / "first")]
    sys.path[:0] = folders
    importlib.import_module(module)
    worlds = _exports.worlds()
    if not worlds:
        sys.exit(f"error: {module} exports nothing: call `airlock_adaptor.export` with your class at its end")
    if importlib.util.find_spec("componentize_py") is None:
        sys.exit("error: componentize-py is missing: remove .venv, and run airlock-sdk/make_venv.py, the project's setup, again")
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, f"{MAIN}.py").write_text(
            f"import {module}\nfrom airlock_adaptor._exports import Batch, Cluster, Endpoint\n"
        )
        command = [sys.executable, "-c", TOOL, "--quiet", "--wit-path", str(SDK / "wit")]
        command += [word for world in worlds for word in ("--world", world)]
        command += ["componentize", MAIN, "--output", str(output)]
        command += [word for path in (folder, *folders) for word in ("--python-path", path)]
        # Nothing of the build machine may get into the picture.
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONHASHSEED": "0"}
        ended = subprocess.run(command, env=environment)
    if ended.returncode != 0:
        sys.exit("error: componentize-py failed, see above")


if __name__ == "__main__":
    main()
