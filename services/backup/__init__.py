"""Backups to S3, and back: `python -m services.backup`. Each run is one job that ends."""
