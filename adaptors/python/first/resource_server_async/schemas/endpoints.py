"""What endpoints give back, in FIRST's newer words."""

from airlock_adaptor import (
    BatchStatusEnum,
    GetBatchStatusResponse,
    SubmitBatchResponse,
    SubmitStreamingTaskResponse,
    SubmitTaskResponse,
)

SubmitTaskResult = SubmitTaskResponse

__all__ = [
    "BatchStatusEnum",
    "GetBatchStatusResponse",
    "SubmitBatchResponse",
    "SubmitStreamingTaskResponse",
    "SubmitTaskResponse",
    "SubmitTaskResult",
]
