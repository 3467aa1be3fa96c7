"""What a variant still knows: suites of prompts as data, and measures of what came back.

Knows nothing of how prompts are answered: HTTP, engines and transformers are others' business.
"""
