"""Out of the house: models in formats that need neither Python nor torch.

The room is `exporting`, as `ostinato.export` is the function: a package of that name would take its place once it is imported.
"""
