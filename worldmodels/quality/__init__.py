"""How good a world model is, measured on episodes that it has not seen."""
