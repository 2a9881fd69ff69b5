"""An MCP server for files within allowed folders; nothing outside them is ever read, written or revealed."""
