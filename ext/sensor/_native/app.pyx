"""Application protocols of the native floor (AppProto)."""
