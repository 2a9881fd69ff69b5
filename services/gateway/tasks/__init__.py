"""The extension `io.modelcontextprotocol/tasks` (SEP-2663): calls that outlive their request."""
