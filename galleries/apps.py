from django.apps import AppConfig


class GalleriesConfig(AppConfig):
    name = "galleries"

    def ready(self) -> None:
        # Importing registers: panels on the desk, invariants for verify, benches, listeners to happenings.
        from importlib import import_module
        from importlib.util import find_spec

        for module in ("checks", "panels", "extras", "capacity", "listeners", "invariants", "benches"):
            if find_spec(f"galleries.{module}"):
                import_module(f"galleries.{module}")
