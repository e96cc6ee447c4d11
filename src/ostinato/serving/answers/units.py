"""x"""


def units(trained, text): ...
