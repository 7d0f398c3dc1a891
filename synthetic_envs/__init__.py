"""Synthetic environments: evolved rather than fitted (JAX).

Importing this package does no work.
"""
