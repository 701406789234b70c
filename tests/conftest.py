"""Settings of the whole suite."""

import signal

from hypothesis import settings

# The same examples in every run; no deadline, because sanitizers and busy machines are slow.
settings.register_profile("sensor", derandomize=True, deadline=None)
settings.load_profile("sensor")

# A shell that starts the suite in the background has it ignore SIGINT, and so would what it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
