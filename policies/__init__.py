"""Policy as code: rules that are pure functions on plain data, and a thin Pulumi policy pack around them.

`rules/` holds the rules by family, `registry` the one table of them, `evaluate` runs them over objects.
`pulumi_adapter` turns them into Pulumi policies; `__main__` is the only place that starts the pack.
Nothing here imports `infra`, `cli` or `services`.
"""
