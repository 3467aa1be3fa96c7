"""Attacks on a profile, in process: can what it hides be brought back?

document       the result of any of them: curves of measures
relearning     by training, with the edit attached
quantisation   by a base of fewer bits

`asking` asks, `shares` makes points of a curve of what came back, `result` the document, and
`showing` says how a person reads it.
"""
