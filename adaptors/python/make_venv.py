#!/usr/bin/env python3
"""Sets a project up: makes `.venv` in the current folder, with the pinned componentize-py and this SDK.

With a warm cache of pip nothing is downloaded. Run it as `python3 airlock-sdk/make_venv.py`.
"""

import shutil
import subprocess
import sys
from pathlib import Path

SDK = Path(__file__).absolute().parent
VENV = Path(".venv")


def main() -> None:
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        sys.exit(f"error: Python 3.11 to 3.13 is needed, and {sys.executable} is {sys.version.split()[0]}")
    try:
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        python = VENV / "bin" / "python"
        install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--prefer-binary"]
        subprocess.run([*install, "--require-hashes", "-r", SDK / "requirements.txt"], check=True)
        found = [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        packages = subprocess.run(found, check=True, capture_output=True, text=True).stdout.strip()
        # The SDK is used where it is, by editors and tests too.
        Path(packages, "airlock-sdk.pth").write_text(f"{SDK}\n")
    except (OSError, subprocess.CalledProcessError) as error:
        # Half a folder would pass for a whole one the next time.
        shutil.rmtree(VENV, ignore_errors=True)
        sys.exit(f"error: the project could not be set up: {error}")


if __name__ == "__main__":
    main()
