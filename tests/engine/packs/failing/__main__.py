"""A pack that can't start."""

raise RuntimeError("the pack is broken")
