"""Many experiments from one file: planning, launching and progress."""
