"""Cases of bad input, a file a kind; see tests/cases/bad_inputs.py."""
