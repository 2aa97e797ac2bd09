"""Django's slugs."""

import re
import unicodedata


def slugify(value: object) -> str:
    """Letters, digits, hyphens and underscores."""
    text = unicodedata.normalize("NFKD", str(value)).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", text)).strip("-_")
