"""Acts on events, when the operator asked for it: blocks confirmed sources for a while."""
