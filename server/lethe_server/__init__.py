"""Lethe's server side: HTTP on top of vLLM's own server, and the command line.

`middleware` decides which variant serves a request, `profiles` and `compare` are routes of their
own, `serve` starts vLLM with all of it. Importing this package imports nothing else.
"""
