"""Django's stream."""

from __future__ import annotations

from typing import Any


class StreamingHttpResponse:
    """Events as they are made. Its status and headers are the gateway's business."""

    def __init__(self, streaming_content: Any = (), content_type: str | None = None, status: int = 200, **_: Any):
        self.streaming_content = streaming_content
        self.headers: dict[str, str] = {}
        self.status_code = status

    def __setitem__(self, name: str, value: str) -> None:
        self.headers[name] = value

    def __getitem__(self, name: str) -> str:
        return self.headers[name]
