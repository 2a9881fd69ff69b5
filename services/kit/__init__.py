"""What every service shares: conventions, settings, logs, metrics, health, shutdown."""
