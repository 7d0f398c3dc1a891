"""Training an agent: collecting (compiled or on the host), learning from logs, and what lies between."""
