"""HTTP and WebSocket over a store (extra `server`)."""
