"""What `make` calls: it takes its targets and variables from the environment, as make hands them over."""
