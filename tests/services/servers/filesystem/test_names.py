import os
from collections.abc import Generator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.servers.filesystem.errors import FileError, RefusedError
from services.servers.filesystem.names import Location, Root, locate
from services.servers.filesystem.reading import read_piece
from services.servers.filesystem.sandbox import Sandbox

DATA, NESTED, OTHER = Root("/data", 3), Root("/data/private", 4), Root("/srv/files", 5)


@pytest.mark.parametrize(
    ("path", "root", "relative"),
    [
        ("/data", DATA, "."),
        ("/data/", DATA, "."),
        ("/data/a", DATA, "a"),
        ("//data//./a/", DATA, "a"),
        ("/data/private", NESTED, "."),
        ("/data/private/a", NESTED, "a"),
        ("/data/privateer", DATA, "privateer"),
        ("/srv/files/a/b", OTHER, "a/b"),
    ],
)
def test_absolute_paths_belong_to_the_innermost_folder(path: str, root: Root, relative: str) -> None:
    place = locate(path, [DATA, NESTED, OTHER])
    assert (place.root, place.relative) == (root, relative)


@pytest.mark.parametrize(
    ("path", "relative"), [("a", "a"), (".", "."), ("./a//b/", "a/b"), ("data/a", "data/a")]
)
def test_relative_paths_start_at_the_only_folder(path: str, relative: str) -> None:
    assert locate(path, [DATA]).relative == relative


def test_relative_paths_are_refused_with_several_folders() -> None:
    with pytest.raises(RefusedError, match="start it with one of /data, /srv/files"):
        locate("a", [DATA, OTHER])


@pytest.mark.parametrize(
    "path",
    [
        "",
        "..",
        "a/..",
        "../data",
        "/data/../data",
        "/data-evil",
        "/dat",
        "/",
        "/srv",
        "a\0",
        "\ud800",
        "x" * 5000,
    ],
)
def test_refused(path: str) -> None:
    with pytest.raises(RefusedError):
        locate(path, [DATA])


@given(
    st.text()
    | st.lists(st.sampled_from(["..", ".", "", "data", "a", "\0", "%2e", "é", "\ud800"])).map("/".join)
)
def test_whatever_is_accepted_lies_below_the_folder(path: str) -> None:
    try:
        place = locate(path, [DATA, OTHER])
    except RefusedError:
        return
    assert os.path.normpath(place.path) == place.path
    assert place.path == place.root.path or place.path.startswith(place.root.path + "/")
    assert locate(place.path, [DATA, OTHER]) == place


def test_a_place_knows_its_family() -> None:
    place = Location(DATA, ("a", "b"))
    assert (place.name, place.path, place.parent.path) == ("b", "/data/a/b", "/data/a")
    assert place.child("c", "d").path == "/data/a/b/c/d"
    assert Location(DATA, ()).parent == Location(DATA, ())


@pytest.fixture(scope="module")
def full_of_traps(tmp_path_factory: pytest.TempPathFactory) -> Generator[tuple[Sandbox, Path]]:
    top = tmp_path_factory.mktemp("hypothesis")
    (top / "data" / "sub").mkdir(parents=True)
    (top / "data-evil").mkdir()
    for secret in (top / "secret", top / "data-evil" / "secret"):
        secret.write_text("SECRET")
    for link, target in {
        "up": "..",
        "out": "../secret",
        "evil": str(top / "data-evil"),
        "sub/up": "../..",
    }.items():
        (top / "data" / link).symlink_to(target)
    (top / "data" / "secret").write_text("harmless")
    sandbox = Sandbox([str(top / "data")])
    yield sandbox, top
    sandbox.close()


@settings(max_examples=500)
@given(
    parts=st.lists(
        st.sampled_from(
            ["", ".", "..", "sub", "up", "out", "evil", "secret", "data", "data-evil", "%2e%2e", "\\", " "]
        )
        | st.text(max_size=3),
        min_size=1,
        max_size=8,
    ),
    absolute=st.booleans(),
)
def test_no_path_reads_the_secret(
    full_of_traps: tuple[Sandbox, Path], parts: list[str], absolute: bool
) -> None:
    sandbox, top = full_of_traps
    path = "/".join(parts)
    try:
        data = read_piece(
            sandbox, sandbox.locate(f"{top}/{path}" if absolute else path), offset=0, limit=None, most=100
        ).data
    except FileError:
        return
    assert data == b"harmless"
