"""The operator's log. `log.info(…)` here, or `logging` as anywhere: both end up there. Keep prompts and answers out."""

from __future__ import annotations

import logging

from airlock_adaptor import _host


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        level = _host.logging.Level
        for least, name in ((40, level.ERROR), (30, level.WARN), (20, level.INFO), (10, level.DEBUG), (0, level.TRACE)):
            if record.levelno >= least:
                # A line each, so that the frames of a traceback stay readable.
                for line in self.format(record).splitlines():
                    _host.logging.log(name, line)
                return


#: A logger for whoever needs no other.
log = logging.getLogger("adaptor")

_handler = _Handler()
_handler.setFormatter(logging.Formatter("%(message)s"))
_root = logging.getLogger()
if not any(isinstance(handler, _Handler) for handler in _root.handlers):
    _root.addHandler(_handler)
# The gateway's own settings say which lines are kept.
_root.setLevel(logging.DEBUG)
# Nothing is logged about threads and processes, of which there is one.
logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
logging.raiseExceptions = False
