"""An endpoint as FIRST has them: models behind a status manifest, which says of each whether it is live, and where."""

import asyncio
import json
import logging
import random
from typing import List, Optional

import httpx
from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.http import StreamingHttpResponse
from pydantic import BaseModel, Field

from resource_server_async.endpoints.direct_api import DirectAPIEndpoint
from resource_server_async.endpoints.endpoint import SubmitStreamingTaskResponse, SubmitTaskResponse

log = logging.getLogger(__name__)


class ManifestEntry(BaseModel):
    model: str
    status: str = "Unknown"
    url: Optional[str] = None
    experts: List[str] = Field(default_factory=list)


class ManifestEndpoint(DirectAPIEndpoint):
    def __init__(self, id, endpoint_slug, cluster, framework, model, endpoint_adapter,
                 allowed_globus_groups=None, allowed_domains=None, config=None):
        super().__init__(id, endpoint_slug, cluster, framework, model, endpoint_adapter,
                         allowed_globus_groups, allowed_domains, config)

    async def fetch_manifest(self) -> dict:
        key = f"manifest:{self.cluster}"
        manifest = await sync_to_async(cache.get)(key)
        if manifest is None:
            async with httpx.AsyncClient(timeout=10) as client:
                response = await client.get(self.config["status_url"])
                response.raise_for_status()
                manifest = response.json()
            await sync_to_async(cache.set)(key, manifest, 60)
        return manifest

    async def find_live(self) -> Optional[ManifestEntry]:
        try:
            manifest = await asyncio.wait_for(self.fetch_manifest(), timeout=20)
        except httpx.HTTPError as e:
            log.error(f"manifest: {e}")
            return None
        entries = [ManifestEntry(**entry) for entry in manifest.values()]
        live = [e for e in entries if e.status == "Live" and self.model in [e.model, *e.experts]]
        return random.choice(live) if live else None

    async def submit_task(self, data):
        entry = await self.find_live()
        if entry is None:
            return SubmitTaskResponse(error_message=f"Error: {self.model} is not live.", error_code=503)
        if entry.url:
            self.set_api_url(entry.url)
        params = {**data["model_params"]}
        params.pop("api_port", None)
        params["stream"] = False
        response = await super().submit_task(params)
        if response.error_message:
            return response
        # What the backend says of itself is nobody's business.
        result = json.loads(response.result)
        result.pop("system_fingerprint", None)
        return SubmitTaskResponse(result=json.dumps(result))

    async def submit_streaming_task(self, data, request_log_id):
        entry = await self.find_live()
        if entry is None:
            return SubmitStreamingTaskResponse(error_message=f"Error: {self.model} is not live.", error_code=503)
        url = f"{entry.url or self.config['api_url']}/chat/completions"
        params = {**data["model_params"], "stream": True}

        async def stream():
            async with httpx.AsyncClient(timeout=120) as client:
                async with client.stream("POST", url, json=params) as response:
                    async for text in response.aiter_text():
                        yield text

        return SubmitStreamingTaskResponse(
            response=StreamingHttpResponse(streaming_content=stream(), content_type="text/event-stream")
        )
