"""What every method forgets and keeps of a suite, as `lethe eval` and `lethe attack` measure it.

    make evidence              everything, into docs/evidence.md and docs/evidence/

From data to page: `request` and `texts` say what is fitted on, `candidates` by which settings;
`fitting` makes profiles and `measuring` evidence, in the processes of `pool`, kept in a work folder
that a stopped run of the same code (`sources`) goes on from; `choosing` picks a method's settings
by subjects that are not reported on; `attacking` and `serving` try the best one; `run` is the order
of all that; `publishing` writes documents, of which `report` and `plots` make the page.
"""
