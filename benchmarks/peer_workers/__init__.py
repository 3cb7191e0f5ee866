"""One script a tool, each run by ``benchmarks.peers`` in the tool's own environment and process.

These files import nothing but the standard library, ``protocol`` and their tool, and mirfeat's
own two import mirfeat: the peers' environments hold neither mirfeat nor what it needs.
"""
