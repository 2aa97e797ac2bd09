"""FIRST's errors, each with a status."""

from airlock_adaptor import AdaptorError


class EndpointError(AdaptorError):
    """A task failed."""

    def __init__(self, message: str, status_code: int = 500):
        super().__init__(status_code, None, message)
        self.status_code = status_code


class GetJobsError(EndpointError):
    """A cluster cannot say what it runs."""
