"""What an agent's parameters are and what its networks compute."""
