"""The base of clusters, and what they give back."""

from airlock_adaptor import BaseCluster, GetJobsResponse, JobInfo, Jobs

__all__ = ["BaseCluster", "GetJobsResponse", "JobInfo", "Jobs"]
