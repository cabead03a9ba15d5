from django.apps import AppConfig


class StudioConfig(AppConfig):
    name = "studio"

    def ready(self) -> None:
        # Importing registers: panels on the desk, invariants for verify, benches, listeners to happenings.
        from importlib import import_module
        from importlib.util import find_spec

        for module in ("checks", "panels", "extras", "listeners", "invariants", "benches"):
            if find_spec(f"studio.{module}"):
                import_module(f"studio.{module}")
