"""A cluster whose backend can say what it runs: fetches the report, and hands it on."""

from airlock_adaptor import BaseCluster, GetJobsResponse, export, upstream


class CustomCluster(BaseCluster):
    """Of the configuration: `status_url`, where the report is."""

    async def get_jobs(self) -> GetJobsResponse:
        """Which models are running, queued and stopped: `{"running": [{"Models": …}], …}`."""
        cluster_status = upstream.get_json("the cluster's status", self.config["status_url"])
        return GetJobsResponse(jobs=cluster_status, cache_seconds=30)


export(CustomCluster)
