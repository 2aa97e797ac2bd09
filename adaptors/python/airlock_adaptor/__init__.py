"""Adaptors for Airlock in Python, in the words of FIRST's.

    from airlock_adaptor import DirectAPIEndpoint, export

    class CustomEndpoint(DirectAPIEndpoint):
        async def submit_task(self, data):
            data["model_params"]["temperature"] = 0
            return await super().submit_task(data)

    export(CustomEndpoint)

Import every module at the top of a file: the component is a picture of Python after its imports, and there are no files to
import from later.
"""

from airlock_adaptor import cache, sse, upstream
from airlock_adaptor._exports import export
from airlock_adaptor.batch import BatchLog, BatchStatusEnum, GetBatchStatusResponse, SubmitBatchResponse
from airlock_adaptor.cluster import BaseCluster, GetJobsResponse, JobInfo, Jobs, ModelInfo
from airlock_adaptor.direct_api import DirectAPIEndpoint
from airlock_adaptor.endpoint import BaseEndpoint, GetEndpointStatusResponse
from airlock_adaptor.errors import AdaptorError
from airlock_adaptor.log import log
from airlock_adaptor.middleware import Middleware, Next
from airlock_adaptor.responses import SubmitStreamingTaskResponse, SubmitTaskResponse
from airlock_adaptor.task import Config, Task, User
from airlock_adaptor.upstream import Request, Response

__all__ = [
    "AdaptorError",
    "BaseCluster",
    "BaseEndpoint",
    "BatchLog",
    "BatchStatusEnum",
    "Config",
    "DirectAPIEndpoint",
    "GetBatchStatusResponse",
    "GetEndpointStatusResponse",
    "GetJobsResponse",
    "JobInfo",
    "Jobs",
    "Middleware",
    "ModelInfo",
    "Next",
    "Request",
    "Response",
    "SubmitBatchResponse",
    "SubmitStreamingTaskResponse",
    "SubmitTaskResponse",
    "Task",
    "User",
    "cache",
    "export",
    "log",
    "sse",
    "upstream",
]
