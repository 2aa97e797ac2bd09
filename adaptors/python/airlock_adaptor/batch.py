"""Batches, in FIRST's words."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from airlock_adaptor import _host
from airlock_adaptor.errors import AdaptorError
from airlock_adaptor.task import operation_path
from airlock_adaptor.upstream import encode


class BatchStatusEnum(str, Enum):
    """Where a batch stands."""

    pending = "pending"
    running = "running"
    failed = "failed"
    completed = "completed"
    cancelled = "cancelled"

    def _native(self) -> Any:
        return getattr(_host.batch.BatchState, self.name.upper())


@dataclass
class SubmitBatchResponse:
    """A batch that was accepted, or an error. `task_ids` are separated by commas, as FIRST has them."""

    batch_id: str | None = None
    task_ids: str | None = None
    status: BatchStatusEnum | str | None = BatchStatusEnum.pending
    error_message: str | None = None
    error_code: int | None = None

    def _native(self) -> Any:
        _raise(self)
        if not self.batch_id:
            raise AdaptorError(502, "adaptor_bad_output", "the adaptor gave neither a batch_id nor an error")
        ids = [part.strip() for part in (self.task_ids or "").split(",") if part.strip()]
        handle = encode({"batch_id": self.batch_id, "task_ids": self.task_ids}).decode()
        return _host.batch.SubmittedBatch(handle, ids, BatchStatusEnum(self.status or "pending")._native())


@dataclass
class GetBatchStatusResponse:
    """How far a batch has got, or an error. `result` is the JSON lines of its results, where there are some."""

    status: BatchStatusEnum | str | None = None
    result: str | bytes | None = None
    error_message: str | None = None
    error_code: int | None = None
    total: int | None = None
    completed: int | None = None
    failed: int | None = None
    message: str | None = None

    def _native(self) -> Any:
        # A batch that has failed says so with its error; that it could not be asked is one of the call.
        if self.status is None:
            _raise(self)
            raise AdaptorError(502, "adaptor_bad_output", "the adaptor gave neither a status nor an error")
        results = self.result.encode() if isinstance(self.result, str) else self.result
        message = self.message or self.error_message
        state = BatchStatusEnum(self.status)._native()
        return _host.batch.BatchProgress(state, self.total, self.completed, self.failed, message, results)


@dataclass
class BatchLog:
    """A batch that was submitted."""

    batch_id: str
    task_ids: str | None = None
    status: BatchStatusEnum = BatchStatusEnum.running
    #: The gateway's own word for it.
    handle: str = field(default="", repr=False)

    @classmethod
    def _of(cls, handle: str) -> BatchLog:
        known = json.loads(handle)
        return cls(known["batch_id"], known["task_ids"], handle=handle)


def _raise(response: Any) -> None:
    if response.error_message is not None:
        raise AdaptorError(response.error_code or 500, None, response.error_message)


def batch_data(request: Any) -> dict[str, Any]:
    """What FIRST hands to `submit_batch`."""
    is_path = isinstance(request.input, _host.batch.BatchInput_Path)
    return {
        "id": request.id,
        "model": request.model,
        "operation": operation_path(request.operation),
        "output_folder_path": request.output_folder_path,
        "input_file": request.input.value if is_path else None,
        "input": None if is_path else request.input.value,
    }
