"""Artificial faces that stand in for real ones: procedural people, or averages of at least k real ones."""

from masking.face.surrogates.averages import AverageBank, Averages, TooFewPeople, average
from masking.face.surrogates.drawn import DrawnBank
from masking.face.surrogates.sprite import Bank, Look, Sprite

__all__ = ["AverageBank", "Averages", "Bank", "DrawnBank", "Look", "Sprite", "TooFewPeople", "average"]
