"""The composition roots: the only place that knows everybody."""
