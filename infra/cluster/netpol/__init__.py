"""Enforces NetworkPolicies on the embedded node: policies and pods in, one nftables table out."""
