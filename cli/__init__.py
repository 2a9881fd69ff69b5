"""mcpctl, the platform's command."""
