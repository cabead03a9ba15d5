"""Django's command line for Likeness: `python manage.py help` lists what there is."""

import os
import sys


def main() -> int:
    """Run one command. `demo` starts before Django: it brings the services that the settings point at."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "studio.settings")
    from studio import demo

    if sys.argv[1:2] == ["demo"]:
        return demo.main(sys.argv[2:])
    demo.join_running_demo()
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)
    return 0


if __name__ == "__main__":
    sys.exit(main())
