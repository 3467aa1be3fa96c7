"""Experiments: users are assigned to arms, each arm is a variant, and a report compares them."""
