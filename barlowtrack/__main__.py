"""`python -m barlowtrack` is the command line."""

from barlowtrack.cli import main

if __name__ == "__main__":
    main()
