from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.quantities import cpu_millis, mebibytes, size_bytes


@pytest.mark.parametrize(("text", "millis"), [("250m", 250), ("1", 1000), ("1.5", 1500), ("0.001", 1)])
def test_processor_time(text: str, millis: int) -> None:
    assert cpu_millis(text) == millis


@pytest.mark.parametrize("text", ["", "0", "0m", "1.5m", "0.0001", "-1", "1 ", "1k", "m", "1e3", "٣"])
def test_what_is_no_processor_time(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        cpu_millis(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", 1), ("1k", 1000), ("1Ki", 1024), ("1.5Gi", 3 * 2**29), ("2M", 2_000_000), ("1Ti", 2**40)],
)
def test_sizes(text: str, size: int) -> None:
    assert size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "0", "1Q", "1mi", "1 Gi", "Gi", "1.0001", "-1Gi", "250m", "1KI"])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        size_bytes(text)


@given(st.integers(min_value=1, max_value=10**7))
def test_mebibytes_read_back_as_the_same_size(number: int) -> None:
    assert size_bytes(mebibytes(number * 2**20)) == number * 2**20
