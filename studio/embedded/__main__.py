"""Run one command beside throw-away services: `python -m studio.embedded python manage.py migrate`."""

import argparse
import os
import signal
import subprocess
import sys

from studio.embedded import EmbeddedError, scratch_folder, services


def main(arguments: list[str] | None = None) -> int:
    """The command's own exit code, or 1 with one sentence when the services cannot run."""
    parser = argparse.ArgumentParser(prog="python -m studio.embedded", description=__doc__)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    command = parser.parse_args(arguments).command
    if not command:
        parser.error("which command?")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        with scratch_folder() as scratch, services(folder=scratch / "services", durable=False) as running:
            return subprocess.run(command, env=os.environ | running.environment, check=False).returncode
    except EmbeddedError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
