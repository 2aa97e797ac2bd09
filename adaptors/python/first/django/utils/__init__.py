"""`django.utils.text` and `django.utils.timezone`."""
