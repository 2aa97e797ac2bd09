"""Runs the cases of a folder and writes `PASSED FAILED` into the file that is named. What they share is beside this file."""

import pathlib
import sys
import unittest

suite = unittest.defaultTestLoader.discover(sys.argv[1])
result = unittest.TextTestRunner(verbosity=2).run(suite)
# A case with several failing parts counts once.
failed = len({case.id().split(" ")[0] for case, _ in result.failures + result.errors})
failed += len(result.unexpectedSuccesses)
passed = max(result.testsRun - failed - len(result.skipped), 0)
pathlib.Path(sys.argv[2]).write_text(f"{passed} {failed}\n")
sys.exit(failed > 0 or passed == 0)
