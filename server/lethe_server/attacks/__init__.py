"""Attacks on a profile, in process: can what it hides be brought back?

document     the result of any of them: curves of measures
"""
