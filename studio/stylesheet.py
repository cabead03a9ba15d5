"""One stylesheet over the wire, many files in the source; scripts that import each other by their hashed names.

`static/css/likeness.css` lists its parts with `@import … layer(…)`, which browsers follow as it stands: nothing is
built while developing. `collectstatic` writes the parts into it before it is hashed and compressed, so production
sends one file that is cached for ever instead of thirty.
"""

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from django.core.files.base import ContentFile
from whitenoise.storage import CompressedManifestStaticFilesStorage

ENTRY = "css/likeness.css"
_IMPORT = re.compile(r'@import url\("(?P<path>[^"]+)"\) layer\((?P<layer>[a-z]+)\);')


def bundle(entry: str, read: Any) -> str:
    """The text of `entry` with each import replaced by that file in its layer. `read(name) -> str`."""
    folder = PurePosixPath(entry).parent

    def write(found: re.Match[str]) -> str:
        return f"@layer {found['layer']} {{\n{read(str(folder / found['path']))}}}"

    return _IMPORT.sub(write, read(entry))


class StaticFiles(CompressedManifestStaticFilesStorage):  # type: ignore[misc]
    """WhiteNoise's storage that sends our stylesheet as one file.

    A script's imports are written with their hashed names too: without that a browser keeps the old `marks.js` beside
    a new `proofs.js` after an update, and asks for it again with every page.
    """

    support_js_module_import_aggregation = True

    def post_process(self, paths: dict[str, Any], *args: Any, **options: Any) -> Iterator[Any]:
        if ENTRY in paths and not options.get("dry_run"):

            def read(name: str) -> str:
                source, path = paths[name]
                with source.open(path) as file:
                    return str(file.read().decode())

            text = bundle(ENTRY, read)
            self.delete(ENTRY)
            self.save(ENTRY, ContentFile(text.encode()))
            paths = paths | {ENTRY: (self, ENTRY)}
        yield from super().post_process(paths, *args, **options)
