# ruff: noqa: D103 - a rule's title, beside its function, says what it checks
"""Container images: which, from where, and that they can't change unseen."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

from policies.family import Family
from policies.node import ANY_ITEM, Node
from policies.objects import POD_KINDS, Pod, Stack
from policies.program import Resource
from policies.rule import Enforcement, Findings, Options, Severity, fail, forbid
from policies.rules.secrets import names_secret

FAMILY: Final = Family("images", "Container images")

_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}\Z")
_CONTENT_TAG: Final = re.compile(r"[0-9a-f]{16}\Z")
"""A tag that the build derives from everything that goes into the image."""


@dataclass(frozen=True, slots=True)
class Reference:
    """A parsed image reference; `name` has its registry, docker.io where none is written."""

    name: str
    tag: str
    digest: str


def parse_reference(text: str) -> Reference:
    """`redis:8@sha256:…` as docker.io/library/redis, 8 and the digest."""
    name, _, digest = text.partition("@")
    tag = ""
    if ":" in name.rpartition("/")[2]:
        name, _, tag = name.rpartition(":")
    first, slash, rest = name.partition("/")
    if not slash:
        name = f"docker.io/library/{name}"
    elif not ("." in first or ":" in first or first == "localhost"):
        name = f"docker.io/{name}"
    elif first == "docker.io" and "/" not in rest:
        name = f"docker.io/library/{rest}"
    return Reference(name, tag, digest)


def is_allowed(name: str, pattern: str) -> bool:
    """A pattern takes an image's name; its `*` doesn't reach from the registry into the path, or back."""
    registry, slash, path = name.partition("/")
    wanted_registry, wanted_slash, wanted_path = pattern.partition("/")
    if not wanted_slash:
        return fnmatchcase(name, pattern)
    return bool(slash) and fnmatchcase(registry, wanted_registry) and fnmatchcase(path, wanted_path)


def is_pinned(reference: Reference) -> bool:
    """Whether it names one content for good: by digest, or by a tag made of the content."""
    by_tag = not reference.digest and _CONTENT_TAG.match(reference.tag)
    return bool(_DIGEST.match(reference.digest) or by_tag)


def _images(pod: Pod) -> Iterator[tuple[Node, Reference]]:
    """The image fields of containers and volumes, and what they say: nothing where absent or unknown."""
    volumes = [item.key("image") for item in pod.spec.at("volumes").items()]
    fields = [item.at("image") for item in pod.containers()]
    fields += [item.key("reference") for item in volumes if not item.absent]
    for image in fields:
        yield image, parse_reference(image.text() or "")


@FAMILY.pod(
    "image-tag",
    "Images have a tag other than latest, or a digest",
    Severity.HIGH,
    fix="Name a version: an untagged image, or latest, is another one tomorrow.",
    references=("KSV013", "CKV_K8S_14"),
)
def image_tag(pod: Pod, _options: Options) -> Findings:
    for image, reference in _images(pod):
        if image.unknown or image.absent:
            yield fail(image, "must name an image")
        elif not reference.digest and reference.tag in ("", "latest"):
            yield fail(image, f"{image.value} can change without notice")


@FAMILY.pod(
    "image-pinned",
    "Images are pinned by digest, or by a tag made of their contents",
    Severity.HIGH,
    fix="Append @sha256:…; images that the stack builds carry the hash of their contents as tag.",
    references=("CKV_K8S_43",),
    dev=Enforcement.ADVISORY,
)
def image_pinned(pod: Pod, _options: Options) -> Findings:
    for image, reference in _images(pod):
        if image.unknown or not is_pinned(reference):
            yield fail(image, f"{image.value} is not pinned by digest or content hash")


@FAMILY.stack(
    "image-registry",
    "Images come from an allowed registry, or are built by the stack",
    Severity.HIGH,
    *sorted(POD_KINDS),
    fix="Use an image of an allowed registry, or add the registry to the rule's setting.",
    references=("KSV125", "Kyverno restrict-image-registries"),
    settings=("allowed_registries",),
)
def image_registry(stack: Stack, options: Options) -> Findings:
    for pod in stack.pods:
        for image, reference in _images(pod):
            if image.unknown:
                yield fail(image, "must come from an allowed registry", pod.owner)
                continue
            built = image.absent or image.value in (stack.built_images or ())
            if not (built or any(is_allowed(reference.name, glob) for glob in options.allowed_registries)):
                yield fail(image, f"{reference.name} is from no allowed registry", pod.owner)


@FAMILY.stack(
    "image-built-here",
    "An image tagged by content hash is one that the stack builds",
    Severity.MEDIUM,
    *sorted(POD_KINDS),
    fix="Pin images that others build by digest: only the stack's own build guarantees what the hash means.",
    dev=Enforcement.ADVISORY,
)
def image_built_here(stack: Stack, _options: Options) -> Findings:
    if stack.built_images is None:
        return  # plain YAML doesn't say what is built
    for pod in stack.pods:
        for image, reference in _images(pod):
            by_hash = not reference.digest and _CONTENT_TAG.match(reference.tag)
            if by_hash and image.value not in stack.built_images:
                yield fail(image, f"{image.value} is not built by this stack", pod.owner)


@FAMILY.pod(
    "image-pull-policy",
    "The node may fetch the image",
    Severity.LOW,
    fix="Set imagePullPolicy to IfNotPresent, or Always.",
)
def image_pull_policy(pod: Pod, _options: Options) -> Findings:
    for container in pod.containers():
        yield from forbid(
            container.at("imagePullPolicy"),
            lambda value: value not in ("Always", "IfNotPresent"),
            "lets a pod start only where the image happens to be",
        )


@FAMILY.resource(
    "image-build-arguments",
    "No secret is an argument of an image's build",
    Severity.CRITICAL,
    "docker-build:index:Image",
    fix="Mount it with RUN --mount=type=secret: arguments stay in the image's history.",
    references=("Docker: SecretsUsedInArgOrEnv",),
)
def image_build_arguments(image: Resource, _options: Options) -> Findings:
    for name, value in image.node.key("buildArgs").entries():
        if name == ANY_ITEM or value.secret or names_secret(name):
            yield from forbid(value, bool, "stays in the image's history")
