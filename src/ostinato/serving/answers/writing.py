"""x"""

WRITERS = {}


def write_for(*a): ...
