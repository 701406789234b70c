"""`sensor report`: what a database of the sensor holds, in the form of a replay's report.

Percentiles are read from merged histograms, here as everywhere.
"""

import json
import sqlite3
import sys
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from sensor.errors import InputMissing, NotACapture
from sensor.metrics.histograms import Latency, decode
from sensor.model.time import rfc3339
from sensor.programs.render import console_for, render
from sensor.programs.units import duration, size
from sensor.programs.view import (
    ROWS,
    FailureLine,
    LatencyLine,
    MixLine,
    Report,
    TalkerLine,
    by_number,
)

SUMMARY = """
    SELECT min(started_at) AS first_us, max(ended_at) AS last_us, count(*) AS connections,
           sum(orig_packets + resp_packets) AS packets
    FROM connections
"""
STATES = "SELECT conn_state, count(*) AS n FROM connections GROUP BY conn_state"
ENDPOINTS = """
    SELECT endpoint, sum(bytes_sent + bytes_received) AS octets,
           sum(packets_sent + packets_received) AS packets,
           sum(connections_new) AS made, sum(connections_failed) AS failed,
           sum(connection_reset_errors) AS resets, sum(timeout_errors) AS timeouts
    FROM network_performance_metrics GROUP BY endpoint
"""
HISTOGRAMS = """
    SELECT endpoint, latency_hist FROM network_performance_metrics
    WHERE latency_hist IS NOT NULL ORDER BY endpoint
"""
