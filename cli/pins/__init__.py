"""Making, reading and comparing locks of tools."""
