"""Everything over HTTP that isn't MCP: operations by path and method, each one declared as plain data."""
