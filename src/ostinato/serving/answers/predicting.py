"""x"""


def answers(trained, inputs, options): ...
