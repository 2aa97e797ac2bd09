"""Runs every snippet of docs/clients.md as it stands there, against the demo.

The first `sh` block sets the environment in which all others run. Each other block has `<!-- prints: TEXT -->` before it, which
is not seen by who reads the page, and has to print that.
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor

from common import KEY, ROOT

PAGE = pathlib.Path(__file__).parents[3] / "docs/clients.md"
BLOCK = re.compile(r"^(?:<!-- prints: (?P<prints>[^\n]+) -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
SECONDS = 60
MODULES = os.environ.get("AIRLOCK_NODE_MODULES")
LLAMA_INDEX = os.environ["AIRLOCK_LLAMA_INDEX"]


def run(command, folder, environment):
    """What the command prints, which has to end well."""
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=SECONDS)
    if done.returncode != 0:
        raise AssertionError(f"it exited with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


def command(block, folder):
    """How a block is run."""
    kind, text = block["kind"], block["text"]
    if kind == "sh":
        return ["bash", "-euo", "pipefail", "-c", text]
    if kind == "python":
        # LlamaIndex wants another version of OpenAI's client, so that it is installed apart.
        return [LLAMA_INDEX if "llama_index" in text else sys.executable, "-c", text]
    if kind == "js":
        file = folder / f"{block.start()}.mjs"
        file.write_text(text)
        return ["node", file]
    raise AssertionError(f"nobody knows how to run a block of kind `{kind}`")


class Page(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        if MODULES:
            (self.folder / "node_modules").symlink_to(MODULES)
        # Nothing but what the page tells people to set.
        first = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "AIRLOCK_URL": ROOT, "AIRLOCK_KEY": KEY}
        settings, *self.blocks = BLOCK.finditer(PAGE.read_text())
        self.assertEqual(settings["kind"], "sh")
        said = run(["bash", "-euc", settings["text"] + "env -0"], self.folder, first)
        self.environment = dict(line.split("=", 1) for line in said.split("\0") if line)

    def test_no_block_is_missed(self):
        self.assertEqual(len(self.blocks) + 1, PAGE.read_text().count("\n```") // 2)
        self.assertLessEqual({"sh", "python", "js"}, {block["kind"] for block in self.blocks})

    def test_snippets(self):
        with ThreadPoolExecutor(4) as pool:
            running = [(block, pool.submit(self.printed, block)) for block in self.blocks]
        for block, printed in running:
            line = PAGE.read_text()[: block.start("text")].count("\n") + 1
            with self.subTest(f"docs/clients.md:{line}"):
                if block["kind"] == "js" and not MODULES:
                    self.skipTest("there is no Node")
                self.assertTrue(block["prints"], "there is no `<!-- prints: TEXT -->` before the block")
                self.assertIn(block["prints"], printed.result())

    def printed(self, block):
        if block["kind"] == "js" and not MODULES:
            return ""
        return run(command(block, self.folder), self.folder, self.environment)
