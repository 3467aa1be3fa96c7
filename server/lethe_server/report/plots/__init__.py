"""Drawings of a page. Needs matplotlib, of the extra `evaluation`.

drawing      a figure, from its axes to inline SVG
inline_svg   what matplotlib writes, made a part of a page
styles       colours and markers that tell curves apart
spreading    labels beside points that are at the same place
balance      forgetting against retention
worst        the worst form of every profile
forms        every form of every profile
curves       how a profile withstood an attack
"""
