"""Nothing but the direct API: what a Python adaptor costs, for the bench."""

from airlock_adaptor import DirectAPIEndpoint, export


class Forward(DirectAPIEndpoint):
    pass


export(Forward)
