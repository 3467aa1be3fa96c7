"""Replicas that share a store in PostgreSQL, under load, while a profile is replaced."""
