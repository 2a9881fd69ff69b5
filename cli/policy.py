"""`mcpctl policy`: the pack's rules on any Kubernetes manifests, without Pulumi."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from cli.console import out
from cli.policy_files import load
from cli.policy_report import Report, rule_facts
from infra.errors import PlatformError
from policies.evaluate import evaluate
from policies.objects import Stack
from policies.registry import FAMILIES, RULES, rules_of
from policies.rule import LATEST_KUBERNETES, REGISTRIES, Options, Rule, environment_of

EXIT_FINDINGS: Final = 1

app = typer.Typer(help="Check Kubernetes manifests against the platform's policies.", no_args_is_help=True)


@app.command()
def check(
    files: Annotated[
        list[str],
        typer.Argument(metavar="FILE…", help="YAML or JSON files, folders of them, - for standard input."),
    ],
    *,
    only: Annotated[
        str,
        typer.Option(
            metavar="FAMILY,…", help="Only these families of rules; `mcpctl policy list` names them."
        ),
    ] = "",
    stack: Annotated[
        str, typer.Option(help="Whose enforcement holds: dev, or any other for prod's.")
    ] = "prod",
    kubernetes_version: Annotated[
        str,
        typer.Option(metavar="1.N", help="Version of the Pod Security Standards; the newest when left out."),
    ] = "",
    allow_registry: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="One more registry for images, such as registry.example/*."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_sarif: Annotated[bool, typer.Option("--sarif", help="Print SARIF 2.1.0.")] = False,
) -> None:
    """Check manifests. Exit codes: 0 clean, 1 findings, 2 error; advice alone is clean."""
    if as_json and as_sarif:
        raise PlatformError("--json and --sarif exclude each other")
    options = Options(
        environment=environment_of(stack),
        kubernetes=_version(kubernetes_version),
        allowed_registries=(*REGISTRIES, *(allow_registry or ())),
    )
    report = _check(files, _families(only), options)
    if as_json or as_sarif:
        _print_json(report.as_sarif() if as_sarif else report.as_json())
    else:
        report.print(out)
    if report.findings:
        raise typer.Exit(EXIT_FINDINGS)


def _check(files: list[str], rules: list[Rule], options: Options) -> Report:
    loaded = load(files)
    if not loaded.objects:
        raise PlatformError(
            f"nothing was checked: there is no Kubernetes object in {', '.join(files)}",
            hint="An empty file may be the output of a command that failed.",
        )
    asked = [rule for rule in rules if not rule.program]
    if not asked:
        raise PlatformError(
            "nothing was checked: these rules are about what a program declares, which files don't show",
            hint="`mcpctl preview` asks them.",
        )
    known = frozenset[str]().union(*(rule.kinds for rule in RULES.values()))
    return Report(
        results=evaluate(Stack(tuple(loaded.objects)), asked, options),
        sources=loaded.objects,
        rules=len(asked),
        unasked=len(rules) - len(asked),
        unchecked=Counter(item.kind for item in loaded.objects if item.kind not in known),
        skipped=loaded.skipped,
    )


def _families(text: str) -> list[Rule]:
    names = frozenset(name.strip() for name in text.split(",") if name.strip())
    try:
        return rules_of(names)
    except KeyError as error:
        raise PlatformError(
            f"--only: there is no family of rules {error.args[0]}",
            hint=f"The families are {', '.join(family.name for family in FAMILIES)}.",
        ) from None


def _version(text: str) -> tuple[int, int]:
    if not text:
        return LATEST_KUBERNETES
    match = re.fullmatch(r"v?(\d+)\.(\d+)", text)
    if match is None:
        raise PlatformError(f"--kubernetes-version: {text} must be a version such as 1.36")
    version = int(match[1]), int(match[2])
    if version > LATEST_KUBERNETES:
        newest = ".".join(map(str, LATEST_KUBERNETES))
        raise PlatformError(
            f"--kubernetes-version: the rules know the Pod Security Standards up to {newest}, not {text}",
            hint="Leave it out for the newest that they know.",
        )
    return version


@app.command(name="list")
def list_rules(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List all rules: id, severity, enforcement in dev and in prod, title."""
    if as_json:
        _print_json([rule_facts(rule) for rule in RULES.values()])
        return
    for family in FAMILIES:
        out.print(Text.assemble((family.name, "bold"), f": {family.title}"))
        for rule in family.rules:
            dev, prod = (rule.enforcement[name].value for name in ("dev", "prod"))
            facts = f"  {rule.id:<32} {rule.severity.value:<9} {dev:<10} {prod:<10} {rule.title}"
            out.print(Text(facts))


@app.command()
def explain(
    rule_id: Annotated[str, typer.Argument(metavar="ID", help="The rule's id, as findings name it.")],
) -> None:
    """Say what a rule asks for, why, and how to put a violation right."""
    rule = RULES.get(rule_id)
    if rule is None:
        raise PlatformError(f"there is no rule {rule_id}", hint="`mcpctl policy list` lists the rules.")
    facts = rule_facts(rule)
    kinds = ", ".join(kind.partition(".")[0] for kind in facts["kinds"]) or "every kind"
    lines = {
        "family": rule.family,
        "severity": rule.severity.value,
        "enforcement": ", ".join(f"{name}: {level}" for name, level in facts["enforcement"].items()),
        "looks at": "the stack as a whole" if rule.check_stack else kinds,
        "settings": ", ".join(rule.settings),
        "references": "; ".join(rule.references),
        "to do": rule.remediation,
    }
    out.print(Text.assemble((rule.id, "bold"), f": {rule.title}"))
    for name, text in lines.items():
        if text:
            out.print(Text(f"  {name:<12} {text}"))


def _print_json(content: Any) -> None:  # noqa: ANN401 - any JSON
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False))
