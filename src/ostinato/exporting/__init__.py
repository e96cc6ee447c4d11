"""Export of models to formats that need neither Python nor torch.

The package is called `exporting` because `ostinato.export` is the function; a package of that name would replace it
once imported.
"""
