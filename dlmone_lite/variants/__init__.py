"""Departures from the paper: recipes by name, DiffuSeq's network and layout, warm start, rivals."""
