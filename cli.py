"""The `affect` command: what a user types, words in, words out, exit codes. No arrays, no torch at import."""

import click


@click.group()
@click.version_option(package_name="affect")
def main() -> None:
    """Affect over time from long videos: cached face features, then a temporal model."""


if __name__ == "__main__":
    # Run as a file this module is `__main__`; workers must import it by its real name.
    from affect.cli import main as affect_main

    affect_main()
