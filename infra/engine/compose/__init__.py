"""A stack on a Docker engine without Pulumi's: its graph becomes a Compose file that Docker Compose runs."""
