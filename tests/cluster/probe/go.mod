// What the pods of the cluster's tests run.
module mcp-platform/tests/probe

go 1.26.0
