"""World models: learned from logs, measured honestly, and used as Gymnasium environments (torch).

Importing this package does no work.
"""
