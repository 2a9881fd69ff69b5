"""What people have in files and folders: read as Kubernetes would read it, or an error; never passed over."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path
from typing import Any

import pytest

from cli.policy_files import load
from infra.errors import PlatformError

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: bad}
spec: {hostNetwork: true}
"""


def read(tmp_path: Path, text: str | bytes, name: str = "file.yaml") -> list[Any]:
    """The data of the objects of a file."""
    file = tmp_path / name
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    return [item.node.value for item in load([str(file)]).objects]


def problem(*names: Path) -> str:
    """What is said of files, whole with the hint."""
    with pytest.raises(PlatformError) as error:
        load([str(name) for name in names])
    return f"{error.value} {error.value.hint}"


@pytest.mark.parametrize(
    "text",
    [
        POD.replace("\n", "\r\n").encode(),
        POD.replace("\n", "\r").encode(),
        POD.encode("utf-8-sig"),
        POD.encode("utf-16"),
        f"%YAML 1.2\n---\n{POD}...\n".encode(),
        f"# generated\n---\n---\n{POD}---\n# end\n".encode(),
        POD.replace("true", "on").encode(),
        POD.replace("true", "y").encode(),
        json.dumps(
            {
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": {"name": "bad"},
                "spec": {"hostNetwork": True},
            },
            indent="\t",
        ).encode(),
    ],
    ids=["CRLF", "CR", "BOM", "UTF-16", "directive", "empty documents", "on", "y", "JSON with tabs"],
)
def test_a_pod_is_read_however_it_is_written(tmp_path: Path, text: bytes) -> None:
    (pod,) = read(tmp_path, text)
    assert pod["spec"] == {"hostNetwork": True}


def test_values_have_the_types_that_kubernetes_gives_them(tmp_path: Path) -> None:
    text = "a: 12:30\nb: 2026-11-21\nc: 1e3\nd: 010\ne: 0x1F\nf: =\ng: n\nh: 'y'\ni: ~\nj: 1_000\nk: .5\n"
    (config,) = read(tmp_path, f"apiVersion: v1\nkind: ConfigMap\n{text}")
    assert [config[name] for name in "abcdefghijk"] == [
        "12:30",
        "2026-11-21",
        1000.0,
        8,
        31,
        "=",
        False,
        "y",
        None,
        1000,
        0.5,
    ]


def test_json_may_write_a_character_as_a_pair(tmp_path: Path) -> None:
    content = {"apiVersion": "v1", "kind": "Pod", "note": "😀 \\ud83d\\ude00"}
    assert read(tmp_path, json.dumps(content), "a.json") == [content]


ITEM = POD.replace("\n", "\n    ").rstrip()


@pytest.mark.parametrize(
    "text",
    [
        f"apiVersion: v1\nkind: List\nitems:\n  - {ITEM}\n",
        f"apiVersion: v1\nkind: PodList\nitems:\n  - {ITEM}\n",
        f"apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: List\n  items:\n  - {ITEM}\n",
        f"apiVersion: v1\nkind: List\n<<:\n  items:\n  - {ITEM}\n",
        f"apiVersion: v1\nkind: List\n<<: {{items: []}}\nitems:\n  - {ITEM}\n",
    ],
    ids=["a list", "of one kind", "a list of lists", "merged in", "merged in, and over it"],
)
def test_lists_are_what_they_hold(tmp_path: Path, text: str) -> None:
    (pod,) = read(tmp_path, text)
    assert (pod["kind"], pod["spec"]) == ("Pod", {"hostNetwork": True})


@pytest.mark.parametrize("items", ["", "items:\n", "items: []\n"])
def test_an_empty_list_is_no_object(tmp_path: Path, items: str) -> None:
    assert read(tmp_path, f"apiVersion: v1\nkind: List\n{items}") == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (POD.replace("bad", "{{ .Values.name }}"), ":3: a key must be text Is it a template?"),
        ("{{- if .Values.on }}\n" + POD + "{{- end }}\n", "line 1: did not find expected node content Is it"),
        (POD + "? [a, b]\n: c\n", ":5: a key must be text"),
        (POD.replace("true", "!!bool maybe"), ":4: the value is not of the type that it says, bool"),
        (POD.replace("true", "!!int x"), ":4: the value is not of the type that it says, int"),
        (POD.replace("true", "!!float x"), ":4: the value is not of the type that it says, float"),
        (POD.replace("true", "!!seq x"), ":4: the value is not of the type that it says, seq"),
        (POD.replace("true", "9" * 5000), ":4: the value is not of the type that it says"),
        (POD.replace("true", "!!timestamp x"), ":4: the tag !!timestamp is none that Kubernetes reads"),
        (POD.replace("true", "!env HOST"), ":4: the tag !env is none that Kubernetes reads"),
        (gzip.compress(POD.encode()), "is compressed, so it was not checked"),
        (POD.replace("bad", "bäd").encode("latin-1"), "line 3: is not YAML: "),
        (POD.replace("true", "*nobody"), "line 4: found undefined alias"),
        (POD.replace("spec", "\tspec"), "line 4: "),
        (f"{POD}---\nname: values\n", ":6: is not a Kubernetes object: apiVersion or kind is missing"),
    ],
    ids=[
        *("a template", "a template's block", "a list as key", "no boolean", "no number", "no fraction"),
        *("no list", "a huge number", "a date's tag", "somebody's tag", "gzip", "latin-1", "an alias"),
        *("a tab", "something else beside objects"),
    ],
)
def test_what_readers_do_not_agree_about_is_an_error_with_its_line(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    file = tmp_path / "file.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    said = problem(file)
    assert said.startswith(str(file))
    assert message in said


def test_an_object_is_not_passed_over_for_what_is_beside_it(tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text(f"{POD}---\nname: values\n")
    (tmp_path / "good.yaml").write_text(POD)
    assert "pod.yaml:6: is not a Kubernetes object" in problem(tmp_path)


def test_a_link_that_leads_nowhere_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text(POD)
    (tmp_path / "gone.yaml").symlink_to("nowhere.yaml")
    assert "gone.yaml: No such file or directory" in problem(tmp_path)
    (tmp_path / "gone.yaml").unlink()
    (tmp_path / "circle.yaml").symlink_to("circle.yaml")
    assert "circle.yaml: Too many levels of symbolic links" in problem(tmp_path)


def test_links_to_folders_and_pipes_are_said_not_to_be_read(tmp_path: Path) -> None:
    (tmp_path / "pod.yaml").write_text(POD)
    (tmp_path / "linked.yaml").symlink_to("pod.yaml")
    (tmp_path / "self").symlink_to(".")
    os.mkfifo(tmp_path / "pipe.yaml")
    loaded = load([str(tmp_path)])
    assert len(loaded.objects) == 2
    assert loaded.skipped == (str(tmp_path / "self"), str(tmp_path / "pipe.yaml"))


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "pod.yaml").write_text(POD)
    closed = tmp_path / "closed"
    closed.mkdir()
    real = os.scandir

    def scandir(path: Any) -> Any:  # root may read every folder
        if Path(path) == closed:
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    assert problem(tmp_path).startswith(f"{closed}: Permission denied")


def test_names_may_hold_anything(tmp_path: Path) -> None:
    assert len(read(tmp_path, POD, "a b'\"<b>[red]%20ü\n.yaml")) == 1
