"""The child process that runs a Pulumi program and reports what it registered.

`python -m infra.engine.evaluate FD`: the request is one line of JSON on standard input, which then stays open
as the lifeline; the answer is JSON on the pipe FD. Standard output and error are the program's own.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import runpy
import sys
import traceback
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from pulumi import RunError
from pulumi.runtime import Settings, configure, run_in_stack
from pulumi.runtime.config import set_all_config

from infra.engine.lifeline import end_with_parent
from infra.engine.monitor import Log, Recorder
from infra.errors import PlatformError

Json = dict[str, Any]


def evaluate(request: Json) -> Json:
    """Run the program; the answer holds either `resources` and `outputs`, or `error`."""
    recorder = Recorder(request["project"], request["stack"], request["generated"], Path(request["root"]))
    configure(
        Settings(
            project=request["project"],
            stack=request["stack"],
            monitor=recorder,
            # The SDK takes any object with the service's methods, but declares only its address.
            engine=Log(),  # pyright: ignore[reportArgumentType]
            dry_run=request["dry_run"],
            organization="organization",
            parallel=1,
            root_directory=request["root"],
        )
    )
    set_all_config(request["config"])
    program = Path(request["program"])
    os.chdir(program if program.is_dir() else program.parent)
    try:
        _run(program)
    except PlatformError as error:
        return {"error": str(error), "hint": error.hint}
    except RunError as error:
        return {"error": str(error).splitlines()[0], "hint": f"see Pulumi.{request['stack']}.yaml"}
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever the program raises is reported by its place
        return {"error": _place(error, Path(request["root"])), "hint": ""}
    return {"resources": recorder.resources, "outputs": recorder.stack_outputs}


def _run(program: Path) -> None:
    """Run the program to its end."""
    loop = asyncio.new_event_loop()
    loop.set_default_executor(ThreadPoolExecutor(max_workers=1))
    asyncio.set_event_loop(loop)

    def main() -> None:
        runpy.run_path(str(program), run_name="__main__")

    loop.run_until_complete(run_in_stack(main))


def _place(error: BaseException, root: Path) -> str:
    """The innermost line of the project that the error passed, as `infra/settings.py:12: KeyError: 'x'`."""
    name = type(error).__name__
    if isinstance(error, SyntaxError) and (file := Path(error.filename or "")).is_relative_to(root):
        return f"{file.relative_to(root)}:{error.lineno}: {name}: {error.msg}"
    what = f"{name}: {error}" if str(error) else name
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(root) and "site-packages" not in path.parts:
            return f"{path.relative_to(root)}:{frame.lineno}: {what}"
    return f"the program failed: {what}"


def main() -> None:
    """Answer one request and end, whatever threads the program left behind."""
    gc.disable()  # a tenth of the time would go to collections, in a process that ends within seconds
    request = json.loads(sys.stdin.buffer.readline())
    end_with_parent()
    answer = evaluate(request)
    with os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as pipe:
        json.dump(answer, pipe)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
