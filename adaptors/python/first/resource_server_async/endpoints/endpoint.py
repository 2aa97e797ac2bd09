"""The base of endpoints, and what they give back."""

from airlock_adaptor import (
    BaseEndpoint,
    BatchLog,
    BatchStatusEnum,
    GetBatchStatusResponse,
    GetEndpointStatusResponse,
    SubmitBatchResponse,
    SubmitStreamingTaskResponse,
    SubmitTaskResponse,
)

__all__ = [
    "BaseEndpoint",
    "BatchLog",
    "BatchStatusEnum",
    "GetBatchStatusResponse",
    "GetEndpointStatusResponse",
    "SubmitBatchResponse",
    "SubmitStreamingTaskResponse",
    "SubmitTaskResponse",
]
