"""Drives the native engine by packet time."""
