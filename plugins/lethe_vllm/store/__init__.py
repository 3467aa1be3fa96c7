"""Where profiles are kept: objects by their digest, and a table of names with its history.

    objects.py   bytes by their sha256, in a folder or at any URL that fsspec knows
    tables.py    names, their versions, and the files that were taken in, in SQL
    database.py  opens SQLite or PostgreSQL
    meanings.py  a name's digest now, its versions, and a change of it
    names.py     what each name means, in step with every process that shares the database
    drop_ins.py  files that somebody puts into the folder of profiles
    place.py     where all that is, from the options

Nothing here knows the engine or HTTP; `lethe_vllm.catalogue` puts the parts together.
"""
