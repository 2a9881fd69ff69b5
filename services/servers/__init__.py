"""The MCP servers: each `services.servers.<name>` is a program; `kit` is what they share."""
