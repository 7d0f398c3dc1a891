"""What all tests share."""

from hypothesis import settings

# The same examples on every run, and no time limit on one: a shared machine may be slow at any moment.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
