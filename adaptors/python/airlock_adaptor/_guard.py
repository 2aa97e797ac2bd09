"""No exception leaves an adaptor without words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from airlock_adaptor import _host
from airlock_adaptor.errors import AdaptorError
from airlock_adaptor.log import log

T = TypeVar("T")

_FAILED = "the adaptor of this model failed; the operator finds the cause in the gateway's log under this request's id"


def guarded(work: Callable[[], T], at_run_time: bool = True) -> T:
    """Runs a call of the gateway. What is no `AdaptorError` goes to the log with its traceback, and the client is told that
    the adaptor failed; without this the instance would end without a word."""
    try:
        return work()
    except AdaptorError as error:
        raise error._thrown(at_run_time) from None
    except _host.Err:
        raise
    except BaseException as error:
        log.error("the adaptor raised %s", type(error).__name__, exc_info=error)
        if not at_run_time:
            # The operator reads it, at the start.
            message = f"the adaptor raised {type(error).__name__}: {error}"
            raise AdaptorError(400, "invalid_config", message)._thrown(at_run_time) from None
        raise AdaptorError(502, "adaptor_failed", _FAILED)._thrown() from None
