"""The rogue child on a machine that is three times slower than the limits suppose."""

from tests.galleries.imaging import rogue_child

if __name__ == "__main__":
    rogue_child.serve(slowness=3.0)
