"""What clusters give back, in FIRST's newer words."""

from airlock_adaptor import GetJobsResponse, JobInfo, Jobs

JobsByStatus = Jobs

__all__ = ["GetJobsResponse", "JobInfo", "Jobs", "JobsByStatus"]
