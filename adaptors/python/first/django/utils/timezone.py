"""Django's clock."""

from datetime import datetime, timezone


def now() -> datetime:
    """The time, in UTC."""
    return datetime.now(timezone.utc)
