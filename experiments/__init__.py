"""Studies, commands, statistics and reports: the only folder that knows all the others.

Importing this package does no work.
"""
