"""Rows leave the host: outbox, shipper, and one exporter per kind of destination."""
