"""``python -m mirfeat``."""

from mirfeat.cli.commands import main

if __name__ == "__main__":
    raise SystemExit(main())
