"""What the project measures of itself; the records lie in results/."""
