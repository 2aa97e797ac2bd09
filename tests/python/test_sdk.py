"""The Python SDK in plain CPython: `PYTHONPATH=adaptors/python:adaptors/python/first python3 -m unittest` in this folder."""

import asyncio
import json
import unittest

from airlock_adaptor import (
    AdaptorError,
    BaseCluster,
    BaseEndpoint,
    BatchStatusEnum,
    DirectAPIEndpoint,
    GetBatchStatusResponse,
    GetJobsResponse,
    Middleware,
    Request,
    SubmitBatchResponse,
    SubmitStreamingTaskResponse,
    SubmitTaskResponse,
    User,
    _exports,
    _native,
    cache,
    log,
    sse,
    testing,
    upstream,
)
from airlock_adaptor.endpoint import status_of
from airlock_adaptor.testing import Backend, run

CHAT = "http://b/v1/chat/completions"
CONFIG = {"api_url": "http://b/v1"}


def endpoint(submit_task=None, submit_streaming_task=None, base=DirectAPIEndpoint, **more):
    """A class with these methods."""
    methods = {"submit_task": submit_task, "submit_streaming_task": submit_streaming_task, **more}
    return type("Sample", (base,), {name: method for name, method in methods.items() if method})


class DirectApiTest(unittest.TestCase):
    def sent(self, config, operation="chat/completions", **body):
        outcome = run(DirectAPIEndpoint, config, operation=operation, body={"model": "asked", **body}, model="own")
        return outcome.forwarded

    def test_a_task_is_forwarded_with_the_backends_name_of_the_model(self):
        sent = self.sent({**CONFIG, "api_request_timeout": 7, "extra_headers": {"X-A": "b"}}, temperature=1)
        self.assertEqual((sent.method, sent.url, sent.timeout), ("POST", CHAT, 7))
        self.assertEqual(sent.json(), {"model": "own", "temperature": 1})
        self.assertEqual(sent.headers, {"content-type": "application/json", "x-a": "b"})

    def test_a_url_is_a_base_or_whole(self):
        for url, operation, expected in [
            ("http://b/v1/", "embeddings", "http://b/v1/embeddings"),
            ("http://b/v1/chat/completions", "chat/completions", "http://b/v1/chat/completions"),
            ("http://b/v1/chat/completions", "embeddings", "http://b/v1/embeddings"),
            ("http://b/v1/chat/completions", "completions", "http://b/v1/completions"),
            ("http://b?version=1", "rerank", "http://b/rerank?version=1"),
        ]:
            self.assertEqual(self.sent({"api_url": url}, operation).url, expected)

    def test_fields_are_set_and_taken_out(self):
        sent = self.sent({**CONFIG, "extra_body": {"top_k": 4, "user": None}}, user="u", n=1)
        self.assertEqual(sent.json(), {"model": "own", "n": 1, "top_k": 4})

    def test_a_form_stays_with_the_gateway(self):
        self.assertIsNone(self.sent(CONFIG, "audio/transcriptions").body)

    def test_mistakes_in_the_configuration_are_named(self):
        for config, key in [
            ({}, "api_url"),
            ({"api_url": "b/v1"}, "api_url"),
            ({**CONFIG, "api_request_timeout": 0}, "api_request_timeout"),
            ({**CONFIG, "extra_body": []}, "extra_body"),
        ]:
            error = testing.validate(DirectAPIEndpoint, config)
            self.assertEqual((error.status, error.code), (400, "invalid_config"))
            self.assertTrue(error.message.startswith(f"config key `{key}`: "), error.message)


class LookTest(unittest.TestCase):
    """An answer is asked for by whoever looks into it, and by the gateway else."""

    def look(self, look, **answer):
        async def submit_task(self, data):
            response = await DirectAPIEndpoint.submit_task(self, data)
            return look(response) or response

        backend = Backend()
        backend.answer(CHAT, **answer)
        return run(endpoint(submit_task), CONFIG, backend)

    def test_nobody_looks(self):
        outcome = self.look(lambda response: None)
        self.assertEqual((len(outcome.backend.sent), outcome.forwarded.url), (0, CHAT))

    def test_a_look_at_the_error_sends_and_relays(self):
        outcome = self.look(lambda response: response.error_message, json={"id": 1})
        self.assertEqual((len(outcome.backend.sent), outcome.relayed), (1, True))

    def test_a_refusal_is_the_error(self):
        outcome = self.look(lambda response: self.assertEqual(response.error_code, 429), status=429, text="slow down")
        self.assertEqual((outcome.error.status, outcome.error.message), (429, "the backend answered 429: slow down"))
        self.assertEqual(self.look(lambda response: response.result, status=401).error.status, 502)

    def test_a_look_at_the_result_reads_it(self):
        def changed(response):
            return SubmitTaskResponse(result={**json.loads(response.result), "seen": True})

        self.assertEqual(self.look(changed, json={"id": 1}).body, {"id": 1, "seen": True})
        self.assertEqual(self.look(lambda response: response.json(), json={"id": 1}).body, {"id": 1})

    def test_a_backend_that_is_not_there(self):
        gone = AdaptorError(502, "upstream_unreachable", "nobody is there")
        self.assertEqual(self.look(lambda response: None if response.error_message else 1, error=gone).error.code, gone.code)


class RepliesTest(unittest.TestCase):
    def body(self, value):
        return run(endpoint(lambda self, data: value, base=BaseEndpoint))

    def test_plain_functions_and_values_do(self):
        for value in ({"a": "é"}, '{"a":"é"}', '{"a":"é"}'.encode(), SubmitTaskResponse(result='{"a":"é"}')):
            self.assertEqual(self.body(value).body, {"a": "é"})
        self.assertEqual(self.body(Request("http://x/", "POST", {}, None)).forwarded.body, None)

    def test_a_response_of_a_backend_is_relayed(self):
        backend = Backend()
        backend.answer("http://x/", json={})
        self.assertTrue(run(endpoint(lambda self, data: upstream.get("http://x/")), {}, backend).relayed)

    def test_firsts_errors_have_a_status_and_a_word(self):
        error = self.body(SubmitStreamingTaskResponse(error_message="not now", error_code=503)).error
        self.assertEqual((error.status, error.code, error.message), (503, "model_not_running", "not now"))
        self.assertEqual(self.body(SubmitTaskResponse(error_message="x")).error.status, 500)

    def test_an_exception_is_told_to_the_operator_alone(self):
        def fails(self, data):
            raise KeyError("secret")

        outcome = run(endpoint(fails))
        self.assertEqual((outcome.error.status, outcome.error.code), (502, "adaptor_failed"))
        self.assertNotIn("secret", outcome.error.message)
        lines = [line for level, line in outcome.backend.lines if level == "error"]
        self.assertEqual((lines[0], lines[-1]), ("the adaptor raised KeyError", "KeyError: 'secret'"))

    def test_no_answer_is_an_error(self):
        self.assertEqual(self.body(None).error.code, "adaptor_bad_output")

    def test_a_configuration_that_is_wrong_is_not_the_clients_fault(self):
        self.assertEqual(run(endpoint(lambda self, data: self.config["x"])).error.status, 500)


class StreamsTest(unittest.TestCase):
    def events(self, response):
        return run(endpoint(None, lambda self, data: response), stream=True).events

    def test_events_come_in_any_form(self):
        async def later():
            yield {"n": 1}
            yield '{"n":\n 2}'
            yield 'data: {"n": 3}\n\nda'
            yield b'ta: {"n":4}\r\n\r\n: a comment\n\ndata: [DONE]\n\n'
            yield {"n": 5}

        self.assertEqual([event["n"] for event in self.events(later())], [1, 2, 3, 4])
        self.assertEqual(self.events([{"n": 1}]), [{"n": 1}])

    def test_a_generator_method_streams(self):
        async def submit_streaming_task(self, data):
            yield {"n": 1}

        self.assertEqual(run(endpoint(None, submit_streaming_task), stream=True).events, [{"n": 1}])

    def test_an_error_before_the_first_event_has_its_status(self):
        async def submit_streaming_task(self, data):
            raise AdaptorError(503, "model_not_running", "wait")
            yield

        self.assertEqual(run(endpoint(None, submit_streaming_task), stream=True).error.status, 503)

    def test_what_yields_nothing_is_an_error(self):
        self.assertIsNone(self.events(7))
        self.assertEqual(self.events(iter([])), [])

    def test_events_are_cut_anywhere(self):
        text = "event: a\r\ndata: {\"é\":1}\r\n\r\ndata:x\ndata: y\n\ndata: end".encode()
        for size in range(1, len(text)):
            pieces = [text[at : at + size] for at in range(0, len(text), size)]
            self.assertEqual(list(sse.data(pieces)), ['{"é":1}', "x\ny", "end"])
        with self.assertRaises(AdaptorError):
            list(sse.data([b"x" * 700_000] * 2))


class DriverTest(unittest.TestCase):
    def test_asyncio_works_without_a_system_to_wait_for(self):
        async def submit_task(self, data):
            async def part(number):
                await asyncio.sleep(0.001)
                return number

            found = await asyncio.gather(part(1), part(2), asyncio.to_thread(lambda: 3))
            try:
                await asyncio.wait_for(asyncio.sleep(60), 0.001)
            except asyncio.TimeoutError:
                return {"found": found}

        self.assertEqual(run(endpoint(submit_task)).body, {"found": [1, 2, 3]})

    def test_what_never_comes_is_no_hang(self):
        async def submit_task(self, data):
            await asyncio.get_running_loop().create_future()

        self.assertEqual(run(endpoint(submit_task)).error.code, "adaptor_failed")

    def test_signatures_of_all_versions_are_called(self):
        async def new(self, data):
            return [{}]

        async def old(self, data, request_log_id):
            return [{"id": request_log_id}]

        self.assertEqual(run(endpoint(None, new), stream=True).events, [{}])
        self.assertEqual(run(endpoint(None, old), stream=True).events, [{"id": "test"}])


class ClusterTest(unittest.TestCase):
    def test_jobs_keep_their_fields(self):
        job = {"Models": ["a", "b"], "Framework": "api", "Cluster": "c", "Model Status": "running"}

        class Sample(BaseCluster):
            async def get_jobs(self, user):
                assert (user.id, [model.model for model in self.models]) == ("u", ["m"])
                return GetJobsResponse(jobs={"queued": [job]})

        report = testing.jobs(Sample, user=User("u"))
        self.assertEqual((report.queued[0].models, report.queued[0].extra), ("a,b", '{"Model Status":"running"}'))
        self.assertIsNone(report.cache_ms)

    def test_what_is_no_report_is_refused(self):
        for wrong in ([], {"running": {}}, {"queued": ["m"]}, 7):
            sample = type("Sample", (BaseCluster,), {"get_jobs": lambda self, wrong=wrong: wrong})
            with self.assertRaises(AdaptorError) as raised:
                testing.jobs(sample)
            self.assertEqual(raised.exception.code, "upstream_bad_response")


class MiddlewareTest(unittest.TestCase):
    def test_what_is_not_changed_goes_on_as_it_came(self):
        outcome = run(Middleware, CONFIG)
        self.assertIsNone(outcome.backend.replaced)

    def test_one_for_true_is_a_change(self):
        async def submit_task(self, data):
            data["model_params"]["n"] = True
            return await self.next.submit_task(data)

        outcome = run(endpoint(submit_task, base=Middleware), CONFIG, body={"model": "m", "n": 1})
        self.assertIs(json.loads(outcome.backend.replaced)["n"], True)

    def test_an_answer_and_events_are_read(self):
        def behind(info, task):
            if task.stream:
                return _native.Reply_Events(iter_events([b'{"n":1}']))
            return _native.Reply_Body(b'{"n":1}')

        async def whole(self, data):
            return {**(await self.next.submit_task(data)).json(), "more": 2}

        async def streamed(self, data):
            async for event in (await self.next.submit_streaming_task(data)).events():
                yield {**event, "more": 2}

        sample = endpoint(whole, streamed, base=Middleware)
        self.assertEqual(run(sample, next=behind).body, {"n": 1, "more": 2})
        self.assertEqual(run(sample, stream=True, next=behind).events, [{"n": 1, "more": 2}])


class iter_events:
    def __init__(self, events):
        self._events = iter(events)

    def next(self):
        return next(self._events, None)


class BatchTest(unittest.TestCase):
    def test_a_batch_in_firsts_words(self):
        class Sample(BaseEndpoint):
            def has_batch_enabled(self):
                return True

            async def submit_batch(self, batch_data, username):
                assert (batch_data["input_file"], username) == ("/data/in", "Ada")
                return SubmitBatchResponse(batch_id="b1", task_ids="t1,t2", status=BatchStatusEnum.running)

            async def get_batch_status(self, batch):
                assert batch.task_ids == "t1,t2"
                return GetBatchStatusResponse(status="completed", result='{"a":1}')

        info = _native.EndpointInfo("s", "c", "f", "m", "{}")
        request = _native.BatchRequest(
            "id", _native.Operation_Other("rerank"), "m", _native.User("u", "Ada", [], None),
            _native.BatchInput_Path("/data/in"), None,
        )
        with testing._gateway(Backend()), testing._only("endpoint", Sample):
            self.assertEqual(_exports.worlds(), ["batch-endpoint-adaptor"])
            batch = _exports.Batch()
            self.assertTrue(batch.has_batch_enabled(info))
            submitted = batch.submit_batch(info, request)
            self.assertEqual(submitted.task_ids, ["t1", "t2"])
            progress = batch.get_batch_status(info, submitted.handle)
            self.assertEqual((progress.state.name, progress.results), ("COMPLETED", b'{"a":1}'))
            with self.assertRaises(_native.Err):
                batch.cancel_batch(info, submitted.handle)


class RestTest(unittest.TestCase):
    def test_a_status_page_is_read_in_all_its_forms(self):
        for page, status in [
            ("running", "running"),
            ({"status": "ok"}, "ok"),
            ({"m": "Live"}, "Live"),
            ({"a": {"model": "m", "status": "Live"}}, "Live"),
            ({"data": [{"id": "m", "status": "down"}]}, "down"),
            ([{"experts": ["m"], "status": "Live"}], "Live"),
            ([{"model": "other", "status": "Live"}], None),
            (7, None),
        ]:
            self.assertEqual(status_of(page, "m"), status, page)

    def test_the_cache_keeps_json(self):
        with testing._gateway(Backend()):
            self.assertTrue(cache.set_json("k", {"a": 1}, 60))
            self.assertEqual((cache.get_json("k"), cache.add("k", b"")), ({"a": 1}, False))
            cache.delete("k")
            self.assertIsNone(cache.get("k"))
            self.assertFalse(cache.set("k", b"x" * 70_000))

    def test_what_is_no_adaptor_is_not_exported(self):
        for wrong in (int, BaseEndpoint()):
            with self.assertRaises(TypeError):
                _exports.export(wrong)

    def test_lines_of_the_log_have_levels(self):
        backend = Backend()
        with testing._gateway(backend):
            log.warning("a\nb")
            log.info("%s", 1)
        self.assertEqual(backend.lines, [("warn", "a"), ("warn", "b"), ("info", "1")])


if __name__ == "__main__":
    unittest.main()
