"""What runs where: the Pulumi program, the engine that runs it without Pulumi, the embedded Kubernetes."""
