"""What `pulumi destroy` leaves, is left as it was: closed, encrypted, and in one piece."""

from __future__ import annotations

from collections.abc import Sequence

from infra.engine.graph import Resource


def retained(declared: Sequence[Resource]) -> set[str]:
    return {it.urn for it in declared if it.options.get("retainOnDelete")}


def test_what_closes_and_keeps_the_bucket_stays_with_it(declared: list[Resource]) -> None:
    (bucket,) = [it for it in declared if it.type.endswith(":Bucket")]
    around = {it.type.rpartition(":")[2]: it.urn for it in declared if it.parent == bucket.parent}
    assert {kind for kind, urn in around.items() if urn not in retained(declared)} == {"BucketLogging"}
    assert around.keys() >= {"BucketPublicAccessBlock", "BucketPolicy", "BucketVersioning", "Key", "Alias"}


def test_nothing_is_deleted_that_what_stays_refers_to(declared: list[Resource]) -> None:
    deleted = {it.urn for it in declared} - retained(declared)
    torn = {it.urn: set(it.dependencies) & deleted for it in declared if it.urn in retained(declared)}
    assert {urn: needed for urn, needed in torn.items() if needed} == {}


def test_repositories_whose_images_aws_will_not_delete_are_left(declared: list[Resource]) -> None:
    assert {it.urn for it in declared if it.type.startswith("aws:ecr/")} <= retained(declared)


def test_protected_stores_that_are_not_left_are_only_what_may_be_lost(declared: list[Resource]) -> None:
    protected = {it.urn: it for it in declared if it.options.get("protect")}
    assert {it.type.rpartition(":")[2] for urn, it in protected.items() if urn not in retained(declared)} == {
        "ReplicationGroup"
    }
