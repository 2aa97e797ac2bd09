"""The direct API."""

from airlock_adaptor import DirectAPIEndpoint, SubmitStreamingTaskResponse, SubmitTaskResponse

__all__ = ["DirectAPIEndpoint", "SubmitStreamingTaskResponse", "SubmitTaskResponse"]
