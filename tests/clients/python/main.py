"""Runs the cases beside this file and writes `PASSED FAILED` into the file that is named."""

import pathlib
import sys
import unittest

suite = unittest.defaultTestLoader.discover(str(pathlib.Path(__file__).parent))
result = unittest.TextTestRunner(verbosity=2).run(suite)
# A case with several failing parts counts once.
failed = len({case.id().split(" ")[0] for case, _ in result.failures + result.errors})
failed += len(result.unexpectedSuccesses)
passed = max(result.testsRun - failed - len(result.skipped), 0)
pathlib.Path(sys.argv[1]).write_text(f"{passed} {failed}\n")
sys.exit(failed > 0 or passed == 0)
