// The External Secrets Operator that a nightly test runs: the last release that is one Go module; go.sum pins it.
module mcp-platform.dev/tests/external-secrets

go 1.24.0

require github.com/external-secrets/external-secrets v0.20.4
