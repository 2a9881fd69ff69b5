"""What a stack keeps in an AWS account. Deployed by Pulumi only; nothing here is a Kubernetes object."""
