"""Windows of native rows become figures."""
