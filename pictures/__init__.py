"""The pictures of README and site, drawn from the code: `python -m pictures`, which `make pictures` calls."""
