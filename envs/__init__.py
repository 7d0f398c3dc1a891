"""The ground floor: the contracts that models, synthetic environments, planners, agents and studies meet at.

Importing this package does no work; import the module that holds what you need, for example ``envs.logs``.
"""
