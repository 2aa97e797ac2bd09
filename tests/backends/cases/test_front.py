"""The front of Globus Compute refuses what the service refuses; without that, the cases behind it would prove less."""

import json

import httpx2
import world
from kinds import Case, counts


class Front(Case):
    def setUp(self):
        super().setUp()
        self.front = world.current.fronts["globus-newest"]
        self.service = httpx2.Client(base_url=self.front["url"])
        self.addCleanup(self.service.close)

    def token(self, secret=None, scope="https://auth.globus.org/scopes/facd7ccc-c5f4-42aa-916b-a0e270e2c2a9/all"):
        client, known = self.front["other_client"]
        form = {"grant_type": "client_credentials", "scope": scope}
        return self.service.post("/v2/oauth2/token", data=form, auth=(client, secret or known))

    def test_credentials_and_scopes_are_checked(self):
        self.assertEqual(self.token(secret="wrong").status_code, 401)
        self.assertEqual(self.token(scope="openid").status_code, 400)
        status = f"/v2/endpoints/{self.front['endpoint']}/status"
        self.assertEqual(self.service.get(status).status_code, 401)

    def test_limits_headers_and_results_that_are_read_once(self):
        self.service.headers["authorization"] = f"Bearer {self.token().json()['access_token']}"
        submit, order = f"/v3/endpoints/{self.front['endpoint']}/submit", self.order()
        self.assertEqual(self.service.post(submit, json=order, headers={"user-agent": ""}).status_code, 422)
        chunked = iter([json.dumps(order).encode()])
        self.assertEqual(self.service.post(submit, content=chunked).status_code, 422)
        before = counts("globus-newest")["ended"]
        [[task]] = self.service.post(submit, json=order).json()["tasks"].values()
        world.until(lambda: counts("globus-newest")["ended"] > before)
        path = f"/v2/tasks/{task}"
        self.assertEqual(self.service.get(path).json()["result"], f"11\n{json.dumps(self.queue())}")
        self.assertEqual(self.service.get(path).json()["reason"], "Unknown task id")
        # Those were five of twenty requests.
        statuses = [self.service.get(path).status_code for _ in range(16)]
        self.assertEqual(statuses, [200] * 15 + [429])
        self.assertGreater(int(self.service.get(path).headers["retry-after"]), 0)

    def queue(self):
        return (world.current.folder / "globus-newest-queue.json").read_text()

    def order(self):
        queue = self.front["functions"]["queue"]
        arguments = "5\n11\n[]5\n11\n{}"
        return {"tasks": {queue: [arguments]}, "result_serializers": ["globus_compute_sdk.serialize.JSONData"]}
