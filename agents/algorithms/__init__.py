"""The algorithms, one a file; agents/table.py knows them by name."""
