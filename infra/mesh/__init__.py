"""Istio: who is let through by identity, and how requests are routed. Pure builders and typed resources."""
