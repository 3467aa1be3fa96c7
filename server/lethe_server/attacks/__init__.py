"""Attacks on a profile, in process: can what it hides be brought back?

document       the result of any of them: curves of measures
relearning     by training, with the edit attached
quantisation   by a base of fewer bits
probing        by linear probes on hidden states
requests       by further requests to forget

`asking` asks. `hidden` reads states, `probed` says of which prompts and texts; `fact_probe` and
`identity_probe` are the probes, `reading_answers` and `telling_facts` their curves
(`probing_curve`). `schedule` is the file of requests. `shares` makes points of a curve of what came
back, `result` the document, and `showing` says how a person reads it.
"""
