"""Families of world models, each on the one model protocol. `table.FAMILIES` lists them."""
