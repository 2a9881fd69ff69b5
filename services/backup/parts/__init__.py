"""What can be backed up, each in its own way."""
