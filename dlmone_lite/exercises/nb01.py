"""Exercises of notebook 01: how does a denoiser know the score?"""

from __future__ import annotations

from dlmone_lite.exercises import Exercise

EXERCISES: tuple[Exercise, ...] = ()
