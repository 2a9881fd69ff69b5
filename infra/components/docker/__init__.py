"""The platform's services as containers on one Docker engine, in place of a Kubernetes."""
