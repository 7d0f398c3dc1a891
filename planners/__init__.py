"""Planners: functions of (model, state) that return a plan (torch and numba).

Importing this package does no work.
"""
