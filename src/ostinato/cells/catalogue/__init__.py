"""Cells that papers describe, one file a family, loaded when they are first used: `ostinato.catalogue` has their layers."""
