// The process that holds a pod's namespaces open.
module mcp-platform/cluster/pause

go 1.26.0
