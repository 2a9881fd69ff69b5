"""The gateway's benchmark: `make bench-gateway`, described in docs/benchmarks/README.md."""
