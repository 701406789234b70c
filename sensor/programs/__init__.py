"""The composition roots: the only place that knows every other part."""
