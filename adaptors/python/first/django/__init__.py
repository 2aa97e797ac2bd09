"""Django, as far as adaptors use it."""
