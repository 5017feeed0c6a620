"""Departures from the paper: DiffuSeq's network and layout, the warm start, sharpening."""
