"""The page at `/playground`: a chat beside the variants, profiles and experiments in a browser.

Files alone. What they show they ask for over HTTP, with the key of whoever sits before them.
"""
