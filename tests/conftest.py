"""What all tests share."""

import os
import signal
import threading

from hypothesis import settings

# The same examples on every run, and no time limit on one: a shared machine may be slow at any moment.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")

# Nothing is left in the user's cache, and no test depends on what is there; JAX reads it in some tests' own folders.
os.environ["SIMULACRA_CACHE"] = "off"

# What tests compile runs briefly: code that is optimised less is there in two thirds of the time.
os.environ.setdefault("XLA_FLAGS", "--xla_backend_optimization_level=1")

# A shell that runs the tests in its background lets them, and all that they start, ignore Ctrl-C, which some send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
    signal.signal(signal.SIGINT, signal.default_int_handler)
