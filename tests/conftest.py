"""Settings of the whole suite."""

from hypothesis import settings

# The same examples in every run; no deadline, because sanitizers and busy machines are slow.
settings.register_profile("sensor", derandomize=True, deadline=None)
settings.load_profile("sensor")
