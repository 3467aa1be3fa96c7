"""One prompt, several variants side by side, and by what numbers they differ from the base.

`routes` is the route; `documents` what goes over the wire; `question` what each variant is asked,
and `asking` how; `at_once` runs them together; `streaming` tells answers as they come; `scoring`
reads the base's answer back to each variant, and measures by `divergence` and ROUGE-L.
"""
