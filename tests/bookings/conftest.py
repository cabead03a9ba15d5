"""The plainest studio a booking can be made in. A test that needs another one says so in its own module."""

import pytest

# Models are imported in the fixtures: pytest reads this file before Django is ready when it is given a test's path.


@pytest.fixture
def place():
    """A location in Chicago, open Monday to Saturday."""
    from tests import factories

    return factories.location()


@pytest.fixture
def kind(place):
    """A session type with everybody it needs."""
    from tests import factories

    factories.crew(place)
    return factories.session_type(locations=[place])
