"""An endpoint that needs what the sandbox has not."""

import os
import subprocess

import requests
from django.conf import settings
from httpx import AsyncHTTPTransport
from resource_server_async.endpoints.direct_api import DirectAPIEndpoint
from ..models import RequestLog


class NotPorted(DirectAPIEndpoint):
    async def submit_task(self, data):
        import numpy
        token = os.environ["TOKEN"]
        headers = {"Authorization": f"Bearer {os.getenv('API_KEY')}"}
        with open("/etc/models") as file:
            models = file.read()
        log = await RequestLog.objects.aget(id=1)
        return await super().submit_task(data)
