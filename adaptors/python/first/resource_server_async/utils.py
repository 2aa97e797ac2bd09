"""What adaptors take of FIRST's helpers."""


def create_streaming_response_headers() -> dict[str, str]:
    """The headers of a stream are the gateway's business."""
    return {}
