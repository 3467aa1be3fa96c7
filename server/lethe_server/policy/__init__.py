"""Who may use what: a file of keys, a table of routes, and one decision for each request.

    keys.py       makes, hashes and finds the key that a request came with
    caller.py     what one key may do
    document.py   the file's form, and what must hold between its fields
    reading.py    YAML to callers, each error with its line
    following.py  the file as it is now, or as it last was valid
    routes.py     what each route needs
    decision.py   the caller, the route and the request to a selection or an error
    guard.py      the one call of the middleware
    reloading.py  POST /v1/unlearning/policy/reload, and SIGHUP

Importing this package imports nothing else.
"""
