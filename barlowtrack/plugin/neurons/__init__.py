"""The neurons of a run: a table of how good they are, and plots of what they do."""
