"""The counters of the native floor, as a Python enum (`Counter`)."""
