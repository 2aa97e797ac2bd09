"""asgiref, as far as adaptors use it."""
