// Go modules whose sources carry the CRDs that the program's custom resources are of; go.sum pins their contents.
module mcp-platform.dev/tests/crds

go 1.24.0

require (
	github.com/external-secrets/external-secrets v1.3.2
	github.com/prometheus-operator/prometheus-operator v0.85.0
)
