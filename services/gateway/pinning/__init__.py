"""Tool pinning: what a server lists is compared with what was approved of it, on every way to a tool."""
