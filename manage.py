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
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.stderr.write(f"{error}\nStart the demo (make demo), or set what .env.example names.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
