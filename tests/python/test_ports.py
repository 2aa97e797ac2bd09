"""The files of tests/porting in plain CPython, and the stand-ins that they lean on."""

import json
import sys
import unittest
from pathlib import Path
from typing import List, Optional

sys.path.append(str(Path(__file__).resolve().parent.parent / "porting"))

import httpx
from airlock_adaptor import AdaptorError, BaseEndpoint, testing
from airlock_adaptor.testing import Backend, run
from asgiref.sync import async_to_sync
from custom_cluster import CustomCluster
from custom_endpoint import CustomEndpoint
from django.core.cache import cache
from django.utils.text import slugify
from metis_endpoint import ManifestEndpoint
from pydantic import BaseModel, Field, ValidationError

CHAT = "http://b/v1/chat/completions"
CONFIG = {"api_url": "http://b/v1", "status_url": "http://b/status"}


class PortsTest(unittest.TestCase):
    def test_the_manuals_endpoint(self):
        backend = Backend()
        backend.answer("http://b/status", json={"status": "Live"})
        outcome = run(CustomEndpoint, CONFIG, backend)
        self.assertEqual((outcome.forwarded.url, outcome.forwarded.json()["stream"]), (CHAT, False))
        backend.answer("http://b/status", json={"status": "Stopped"})
        self.assertEqual(run(CustomEndpoint, CONFIG, backend).error.status, 503)

    def test_the_manuals_cluster(self):
        backend = Backend()
        backend.answer("http://b/status", json={"running": [{"Models": "m", "Framework": "api", "Cluster": "c"}]})
        self.assertEqual(testing.jobs(CustomCluster, CONFIG, backend).running[0].models, "m")
        backend.answer("http://b/status", json=[])
        with self.assertRaises(AdaptorError) as raised:
            testing.jobs(CustomCluster, CONFIG, backend)
        self.assertEqual(raised.exception.status, 500)

    def test_an_endpoint_behind_a_manifest(self):
        backend = Backend()
        live = {"model": "x", "experts": ["m"], "status": "Live", "url": "http://b/live"}
        backend.answer("http://b/status", json={"a": live})
        backend.answer("http://b/live/chat/completions", json={"id": 1, "system_fingerprint": "f"})
        self.assertEqual(run(ManifestEndpoint, CONFIG, backend).body, {"id": 1})
        backend.answer("http://b/live/chat/completions", events=[{"n": 1}, {"n": "é"}])
        self.assertEqual(run(ManifestEndpoint, CONFIG, backend, stream=True).events, [{"n": 1}, {"n": "é"}])
        self.assertEqual(sum(sent.url.endswith("status") for sent in backend.sent), 1)
        self.assertEqual(run(ManifestEndpoint, CONFIG, backend, model="other").error.status, 503)


class Inner(BaseModel):
    name: str


class Outer(BaseModel):
    inner: Inner
    many: List[Inner] = Field(default_factory=list)
    maybe: Optional[Inner] = None
    number: int = Field(default=3, ge=1)
    needed: str = Field(...)


class StandInsTest(unittest.TestCase):
    def within(self, work, backend=None):
        """Runs it as an adaptor would."""
        found = []
        sample = type("Sample", (BaseEndpoint,), {"submit_task": lambda self, data: found.append(work()) or {}})
        outcome = run(sample, {}, backend)
        if outcome.error:
            raise outcome.error
        return found[0]

    def test_models_are_filled_in(self):
        outer = Outer(inner={"name": "a"}, many=[{"name": "b"}], maybe={"name": "c"}, needed="d", more=1)
        self.assertEqual((outer.inner.name, outer.many[0].name, outer.maybe.name, outer.number), ("a", "b", "c", 3))
        self.assertEqual(json.loads(outer.model_dump_json())["many"], [{"name": "b"}])
        self.assertEqual(Outer.model_validate(outer.model_dump()), outer)
        self.assertEqual(Outer(inner=Inner(name="a"), needed="").many, [])
        with self.assertRaises(ValidationError):
            Outer(inner={"name": "a"})

    def test_httpx_sends_what_it_is_given(self):
        backend = Backend()
        backend.answer("http://b/a/x?q=1", json={"ok": True})

        async def work():
            async with httpx.AsyncClient(base_url="http://b/a", headers={"X-A": "1"}, timeout=httpx.Timeout(9)) as client:
                response = await client.post("/x", params={"q": 1}, data={"a": "b c"})
                return response.json(), response.status_code

        self.assertEqual(self.within(async_to_sync(work), backend), ({"ok": True}, 200))
        sent = backend.sent[0]
        self.assertEqual((sent.body, sent.timeout), (b"a=b+c", 9))
        self.assertEqual(sent.headers, {"x-a": "1", "content-type": "application/x-www-form-urlencoded"})

    def test_httpx_raises_its_own_errors_with_a_status_for_clients(self):
        backend = Backend()
        for code, status, kind in [
            ("upstream_timeout", 504, httpx.TimeoutException),
            ("upstream_unreachable", 502, httpx.ConnectError),
            ("egress_denied", 403, httpx.RequestError),
        ]:
            backend.answer("http://b/", error=AdaptorError(status, code, "no"))
            with self.assertRaises(AdaptorError) as raised:
                self.within(lambda: httpx.get("http://b/"), backend)
            self.assertEqual((raised.exception.status, raised.exception.code), (status, code))

            def caught():
                try:
                    httpx.get("http://b/")
                except kind as error:
                    return isinstance(error, httpx.HTTPError)

            self.assertTrue(self.within(caught, backend))
        backend.answer("http://b/", status=404, text="gone")
        with self.assertRaises(AdaptorError) as raised:
            self.within(lambda: httpx.get("http://b/").raise_for_status(), backend)
        self.assertEqual(raised.exception.status, 404)

    def test_djangos_cache_keeps_json(self):
        def work():
            cache.set("k", {"a": 1}, timeout=60)
            cache.set("no", object())
            return cache.get("k"), cache.get("none", 7), cache.get("no"), cache.get_or_set("new", lambda: 2)

        self.assertEqual(self.within(work), ({"a": 1}, 7, None, 2))

    def test_slugs_are_djangos(self):
        name = "my-cluster my-framework meta-llama/Meta-Llama-3.1-70B-Instruct"
        self.assertEqual(slugify(name), "my-cluster-my-framework-meta-llamameta-llama-31-70b-instruct")


if __name__ == "__main__":
    unittest.main()
