"""The adaptor in plain Python, against a backend in memory: `python -m unittest`."""

import unittest

from airlock_adaptor import AdaptorError
from airlock_adaptor.testing import Backend, jobs
from custom_cluster import CustomCluster

CONFIG = {"status_url": "http://backend/status"}


class CustomClusterTest(unittest.TestCase):
    def test_the_report_is_handed_on(self):
        backend = Backend()
        job = {"Models": "m,n", "Framework": "vllm", "Cluster": "c", "Model Version": 4}
        backend.answer("http://backend/status", json={"running": [job], "cluster_status": {"free_nodes": 3}})
        report = jobs(CustomCluster, CONFIG, backend)
        self.assertEqual((report.running[0].models, report.running[0].extra), ("m,n", '{"Model Version":4}'))
        self.assertEqual((report.cluster_status, report.cache_ms), ('{"free_nodes":3}', 30_000))

    def test_what_is_no_report_is_an_error(self):
        backend = Backend()
        backend.answer("http://backend/status", json=[])
        with self.assertRaises(AdaptorError) as raised:
            jobs(CustomCluster, CONFIG, backend)
        self.assertEqual(raised.exception.status, 502)


if __name__ == "__main__":
    unittest.main()
