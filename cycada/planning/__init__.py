"""From a config to a checked plan, and from a plan to data and networks."""
