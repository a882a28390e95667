"""Simulated participants: planted tastes and habits, over real HTTP and websockets, against the real server."""

from studyapp.simulate.crowd import Crowd, simulate
from studyapp.simulate.habits import Habit

__all__ = ["Crowd", "Habit", "simulate"]
