"""Reads the backend's stream and changes each event: text goes out in capital letters, and a note follows at its end."""

from airlock_adaptor import DirectAPIEndpoint, SubmitStreamingTaskResponse, export


class CustomStreaming(DirectAPIEndpoint):
    """Of the configuration: `note`, a text to end with, and what the direct API takes. Complete answers go through."""

    async def submit_streaming_task(self, data: dict, request_log_id: str = "") -> SubmitStreamingTaskResponse:
        response = await super().submit_streaming_task(data, request_log_id)
        return SubmitStreamingTaskResponse(response=self.changed(response.events()))

    async def changed(self, events):
        """Hands on event by event: the gateway asks for one at a time."""
        async for event in events:
            for choice in event.get("choices", []):
                delta = choice.get("delta", {})
                if delta.get("content"):
                    delta["content"] = delta["content"].upper()
                if choice.get("finish_reason") and self.config.get("note"):
                    delta["content"] = f"{delta.get('content') or ''} {self.config['note']}"
            yield event


export(CustomStreaming)
