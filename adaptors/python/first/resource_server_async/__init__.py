"""FIRST's names for what this SDK has, so that its adaptors run as they are."""
