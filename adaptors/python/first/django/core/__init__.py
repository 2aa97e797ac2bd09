"""`django.core.cache`."""
