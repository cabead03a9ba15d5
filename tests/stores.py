"""Stores to test with: a folder, and a real S3 server that is started once per run when a test first asks for it."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.utils.module_loading import import_string

from devtools.s3_server import s3_server
from studio.disk_store import DiskStore
from studio.s3_store import S3Store
from studio.storage import storages_from_url


def store_of(url: str) -> Any:
    found = storages_from_url(url, "/unused")["originals"]
    return import_string(found["BACKEND"])(**found["OPTIONS"])


@pytest.fixture(scope="session")
def s3_url(tmp_path_factory) -> Iterator[str]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server.url("likeness")


@pytest.fixture
def s3(s3_url) -> S3Store:
    return store_of(s3_url)  # type: ignore[no-any-return]


@pytest.fixture
def disk(tmp_path) -> DiskStore:
    return store_of(f"file://{tmp_path / 'media'}")  # type: ignore[no-any-return]


@pytest.fixture(params=["disk", "s3"])
def store(request) -> Any:
    return request.getfixturevalue(request.param)
