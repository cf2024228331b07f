"""`python -m affect` is the `affect` command."""

from .cli import main

if __name__ == "__main__":
    main()
