"""What the decoder counts, as Python enums (`Anomaly`, `DecodeCount`)."""
