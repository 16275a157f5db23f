"""CyCADA: cycle-consistent adversarial domain adaptation, from one YAML file to a number you can trust."""

__version__ = "0.1.0"
