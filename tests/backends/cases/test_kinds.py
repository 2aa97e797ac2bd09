"""What each kind of backend does of its own, and what FIRST's routes say about it."""

import openai
from kinds import STEADY, Case, question


class Kinds(Case):
    def test_a_model_that_the_manifest_calls_stopped_is_refused(self):
        with self.assertRaises(openai.InternalServerError) as raised:
            self.client.chat.completions.create(model="metis/asleep", messages=question("Hello"))
        self.assertEqual((raised.exception.status_code, raised.exception.code), (503, "model_not_running"))

    def test_a_custom_adaptor_changes_what_is_sent(self):
        expected = self.expected("custom/chat", "Hello")
        options = {**STEADY, "temperature": 1.9}
        answer = self.client.chat.completions.create(model="custom/chat", messages=question("Hello"), **options)
        self.assertEqual(answer.choices[0].message.content, expected.choices[0].message.content)

    def test_a_chain_blocks(self):
        with self.assertRaises(openai.BadRequestError) as raised:
            self.client.chat.completions.create(model="chained/chat", messages=question("It is top secret"))
        self.assertEqual(raised.exception.code, "prompt_blocked")

    def test_a_federated_model_passes_an_offline_cluster_by(self):
        for _ in range(4):
            answer = self.client.chat.completions.create(model="anywhere", messages=question("Hello"), **STEADY)
            self.assertEqual(answer.usage.completion_tokens, STEADY["max_tokens"])


class FirstsRoutes(Case):
    def test_list_endpoints(self):
        clusters = self.get("/list-endpoints")["clusters"]
        named = {"globus-first", "globus-newest", "bought", "local", "spare", "metis", "custom", "chained"}
        self.assertEqual(set(clusters), named)
        globus = clusters["globus-first"]["frameworks"]["vllm"]
        self.assertEqual(globus["models"], [f"globus-first/{model}" for model in ("broken", "chat", "offline")])
        self.assertEqual(globus["endpoints"], ["/v1/chat/completions", "/v1/completions"])

    def test_whoami(self):
        self.assertEqual(self.get("/whoami")["username"], "user")

    def test_jobs(self):
        for cluster, state, models in [
            ("bought", "running", ["bought/chat"]),
            ("local", "running", ["tiny"]),
            ("metis", "running", ["metis/chat"]),
            ("metis", "stopped", ["metis/asleep"]),
            ("custom", "running", ["custom/chat"]),
            ("chained", "running", ["chained/chat"]),
        ]:
            with self.subTest(cluster):
                self.assertEqual(self.jobs(cluster, state), models)
        facts = self.get("/custom/jobs")["cluster_status"]
        self.assertEqual(facts, {"free_nodes": 5})

    def test_a_cluster_without_batches_says_so(self):
        order = {"model": "bought/chat", "input_file": "/in.jsonl"}
        answer = self.first.post("/bought/api/v1/batches", json=order)
        self.assertEqual((answer.status_code, answer.json()["error"]["code"]), (400, "batch_unavailable"))
