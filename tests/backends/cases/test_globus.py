"""Globus Compute with its own engine and serializers, of the versions that FIRST pins and of the newest."""

import asyncio
import collections
import itertools
import json
import pathlib

import openai
import world
from common import async_client
from kinds import GLOBUS, STEADY, Case, counts, question


class Globus(Case):
    def test_a_chat_is_one_task(self):
        for name in GLOBUS:
            with self.subTest(name):
                before = counts(name)
                self.client.chat.completions.create(model=f"{name}/chat", messages=question("Hello"), **STEADY)
                after = counts(name)
                self.assertEqual(after["task"], before["task"] + 1)
                self.assertEqual(after["pickled"], 0, "results come as JSON, as the submit asks for")

    def test_a_function_that_fails_says_why(self):
        for name, stream in itertools.product(GLOBUS, (False, True)):
            with self.subTest(name, stream=stream):
                asked = {"messages": question("Hello"), "stream": stream}
                with self.assertRaises(openai.InternalServerError) as raised:
                    self.client.chat.completions.create(model=f"{name}/broken", **asked)
                self.assertEqual((raised.exception.status_code, raised.exception.code), (502, "task_failed"))
                self.assertIn("NameError: name 'requests' is not defined", raised.exception.message)
                self.assertNotIn("site-packages", raised.exception.message)

    def test_an_endpoint_that_is_offline_gets_no_task(self):
        for name in GLOBUS:
            with self.subTest(name):
                before = counts(name)
                with self.assertRaises(openai.InternalServerError) as raised:
                    self.client.chat.completions.create(model=f"{name}/offline", messages=question("Hello"))
                self.assertEqual((raised.exception.status_code, raised.exception.code), (503, "model_offline"))
                self.assertEqual(counts(name)["task"], before["task"])

    def test_jobs(self):
        for name in GLOBUS:
            with self.subTest(name):
                report = self.get(f"/{name}/jobs")
                [running] = report["running"]
                self.assertEqual((running["Models"], running["Model Status"]), (f"{name}/chat", "running"))
                self.assertEqual(running["Job ID"], "7.pbs")
                self.assertEqual(report["cluster_status"], {"free_nodes": 3})

    def test_a_stream_comes_in_several_callbacks(self):
        for name in GLOBUS:
            with self.subTest(name):
                before = collections.Counter(world.current.proxy.posts)
                asked = {"messages": question("Go on"), "stream": True, **STEADY, "max_tokens": 100}
                stream = self.client.chat.completions.create(model=f"{name}/chat", **asked)
                pieces = sum(1 for chunk in stream if chunk.choices and chunk.choices[0].delta.content)
                self.assertEqual(pieces, 100)
                posts = world.current.proxy.posts - before
                # Twenty lines each, or what comes in half a second.
                self.assertGreaterEqual(posts.pop("/resource_server/api/streaming/data/"), 5)
                self.assertEqual(posts, {"/resource_server/api/streaming/done/": 1})

    def test_chats_at_once_are_submitted_together(self):
        before = {name: counts(name) for name in GLOBUS}
        self.ask_thirty(seconds_between=0)
        for name in GLOBUS:
            self.assertLess(counts(name)["submit"], before[name]["submit"] + 10)

    # One after another, thirty chats are more requests than the service takes in that time: some wait.
    def test_chats_in_a_row_stay_within_the_limit(self):
        before = {name: counts(name) for name in GLOBUS}
        self.ask_thirty(seconds_between=0.1)
        for name in GLOBUS:
            self.assertEqual(counts(name)["refused"], before[name]["refused"])

    def ask_thirty(self, seconds_between):
        """Asks clusters of both versions, and checks that each answer is that to its own question."""
        texts = [f"I am caller {number}" for number in range(30)]
        expected = [self.expected("tiny", text).choices[0].message.content for text in texts]
        before = {name: counts(name)["task"] for name in GLOBUS}
        for name, answers in zip(GLOBUS, asyncio.run(self.ask_all(texts, seconds_between))):
            self.assertEqual(answers, expected)
            self.assertEqual(counts(name)["task"], before[name] + 30)

    async def ask_all(self, texts, seconds_between):
        async with async_client(max_retries=0, timeout=60) as client:

            async def ask(name, number, text):
                await asyncio.sleep(number * seconds_between)
                said = {"messages": question(text), **STEADY}
                answer = await client.chat.completions.create(model=f"{name}/chat", **said)
                return answer.choices[0].message.content

            def ask_one_cluster(name):
                return asyncio.gather(*(ask(name, *numbered) for numbered in enumerate(texts)))

            return await asyncio.gather(*(ask_one_cluster(name) for name in GLOBUS))


class Batches(Case):
    def test_a_batch_runs_on_the_cluster(self):
        for name in GLOBUS:
            with self.subTest(name):
                self.run_batch(name)

    def run_batch(self, name):
        folder = world.current.folder / f"{name}-batch"
        folder.mkdir()
        source = folder / "input.jsonl"
        source.write_text("".join(json.dumps(self.line(number)) + "\n" for number in range(3)))
        order = {"model": f"{name}/chat", "input_file": str(source), "output_folder_path": str(folder)}
        answer = self.first.post(f"/{name}/vllm/v1/batches", json=order)
        self.assertEqual(answer.status_code, 200, answer.text)
        batch = answer.json()["batch_id"]
        world.until(lambda: self.get(f"/v1/batches/{batch}") == "completed")
        result = json.loads(self.get(f"/v1/batches/{batch}/result"))
        self.assertEqual((result["num_responses"], result["total_tokens"] > 0), (3, True))
        written = [json.loads(line) for line in pathlib.Path(result["results_file"]).read_text().splitlines()]
        for number, line in enumerate(written):
            expected = self.expected("tiny", f"Line {number}")
            self.assertEqual(line["custom_id"], f"line-{number}")
            text = line["response"]["choices"][0]["message"]["content"]
            self.assertEqual(text, expected.choices[0].message.content)

    def line(self, number):
        body = {"model": "tiny", "messages": question(f"Line {number}"), **STEADY}
        return {"custom_id": f"line-{number}", "method": "POST", "url": "/v1/chat/completions", "body": body}

    def test_a_batch_that_fails_says_why(self):
        order = {"model": "globus-first/chat", "input_file": "/nowhere/input.jsonl"}
        batch = self.first.post("/globus-first/vllm/v1/batches", json=order).json()["batch_id"]
        world.until(lambda: self.get(f"/v1/batches/{batch}") == "failed")
        answer = self.first.get(f"/v1/batches/{batch}/result")
        self.assertEqual(answer.status_code, 400, answer.text)
        self.assertIn("FileNotFoundError", answer.text)
