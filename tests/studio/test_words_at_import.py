"""What people read is put into their language when they read it, never once for everybody when a module is imported."""

import ast
from collections.abc import Iterator
from pathlib import Path

PROJECT = Path(__file__).resolve().parent.parent.parent
AT_ONCE = {"gettext", "ngettext", "pgettext", "npgettext"}


def spoken_at_import(source: str) -> Iterator[int]:
    """The lines on which a module or a class body asks for a translation of this moment."""
    module = ast.parse(source)
    names = {
        alias.asname or alias.name
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and node.module == "django.utils.translation"
        for alias in node.names
        if alias.name in AT_ONCE
    }
    bodies = [module.body, *(node.body for node in module.body if isinstance(node, ast.ClassDef))]
    for statement in (one for body in bodies for one in body):
        if isinstance(statement, ast.Assign | ast.AnnAssign | ast.Expr):
            for node in ast.walk(statement):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
                    yield node.lineno


def test_a_sentence_of_a_module_is_found_and_a_lazy_one_is_not() -> None:
    source = "from django.utils.translation import {} as _\nWORDS = {{'one': _('One')}}\n"
    assert list(spoken_at_import(source.format("gettext"))) == [2]
    assert list(spoken_at_import(source.format("gettext_lazy"))) == []


def test_no_sentence_is_translated_when_its_module_is_imported() -> None:
    files = [path for app in ("studio", "bookings", "galleries") for path in (PROJECT / app).rglob("*.py")]
    found = {str(path.relative_to(PROJECT)): list(spoken_at_import(path.read_text())) for path in files}
    assert len(files) > 100
    assert {path: lines for path, lines in found.items() if lines} == {}
