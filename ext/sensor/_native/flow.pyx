"""Connection enums of the native floor (ConnState, EndReason, Leaf)."""
