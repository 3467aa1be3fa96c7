"""Measures what a profile has forgotten and kept, and writes it down as evidence.

`work` says what is asked; `answering` who answers, which is either `over_http` or `in_process`;
`running` asks what `records` does not have yet; `outcomes`, `recovering`, `measuring` and `keeping`
make numbers of it; `evidence` is the document, `showing` how a person reads it, `attaching` how it
gets to where a profile is.
"""
