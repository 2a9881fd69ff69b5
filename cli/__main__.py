"""`python -m cli` is mcpctl."""

from cli.main import main

main()
