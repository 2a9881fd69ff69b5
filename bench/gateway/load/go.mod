// The load generator of `make bench-gateway`.
module mcp-platform/bench/load

go 1.26.0
