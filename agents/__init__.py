"""Model-free agents (JAX): one update, two ways to collect experience.

Importing this package does no work.
"""
