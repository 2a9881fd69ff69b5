"""Configurations of OpenTelemetry collectors."""
