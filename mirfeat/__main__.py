"""``python -m mirfeat``."""

from mirfeat.cli.entry import main

if __name__ == "__main__":
    raise SystemExit(main())
