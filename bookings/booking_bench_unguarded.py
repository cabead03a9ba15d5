"""The site without its lock on Resources, for `bench booking` alone: it says how many would be booked twice."""

from studio.wsgi import application as application  # loads the settings and the apps first

# isort: split
from bookings import holds

holds.lock_resources = lambda cast: None
