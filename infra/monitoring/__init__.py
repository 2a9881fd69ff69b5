"""What is measured of a stack, when somebody is called, and what is shown."""
