"""Where a process starts and ends: `cmdstat` and `python -m cmdstat`.

Two things make a start a fifth faster: the garbage collector is off while modules are imported,
since imports make little garbage and many objects, and the process ends without taking its modules
apart one by one.
"""

import gc

gc.disable()


def run() -> None:
    """Run cmdstat and end the process with its exit code."""
    import sys

    if sys.argv[1:2] == ["__complete"]:  # Tab was pressed: nothing of what follows is needed
        from cmdstat.completion.answer import run as run_completion

        run_completion(sys.argv[2:])
    import os
    from contextlib import suppress

    from cmdstat.cli import main, surroundings_of_process

    surroundings = surroundings_of_process()
    code = int(main(sys.argv[1:], surroundings))
    for stream in (surroundings.stdout, surroundings.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(code)


if __name__ == "__main__":
    run()
