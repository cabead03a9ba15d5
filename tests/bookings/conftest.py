"""The plainest studio a booking can be made in. A test that needs another one says so in its own module."""

import pytest

from tests import factories


@pytest.fixture
def place():
    """A location in Chicago, open Monday to Saturday."""
    return factories.location()


@pytest.fixture
def kind(place):
    """A session type with everybody it needs."""
    factories.crew(place)
    return factories.session_type(locations=[place])
