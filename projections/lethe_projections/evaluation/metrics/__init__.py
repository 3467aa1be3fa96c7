"""One measure a file, each with its formula, its shapes and its source.

Where implementations differ from papers, or go wrong, the file says so and a test shows it.
"""
