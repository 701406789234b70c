"""Latency kinds and name sources of the native floor."""
