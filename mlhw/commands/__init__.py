"""The command line: what is typed, what is printed, exit codes."""
