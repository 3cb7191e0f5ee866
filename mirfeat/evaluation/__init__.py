"""The papers' evaluation protocols: features and labels in, result records out.

Nothing here computes a feature or imports a network. ``records`` says what comes out, ``inputs``
and ``labels`` read features and labels, ``folds`` decides who is tested on whom; every other module
is one protocol or one way to show results.
"""
