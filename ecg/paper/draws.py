"""Random choices that write themselves down."""

from collections.abc import Sequence

import numpy as np


class Draws:
    """Draws parameters and keeps each under its name, as the value that is used.

    Args:
        rng: decides every draw.
        strength: factor on amounts, and up to 1 on probabilities.
    """

    def __init__(self, rng: np.random.Generator, strength: float):
        self.rng, self.strength = rng, float(strength)
        self.parameters: dict = {}

    def keep(self, name: str, value):
        """Note a value that was made elsewhere and return it."""
        self.parameters[name] = value
        return value

    def symmetric(self, name: str, reach: float) -> float:
        """Draw from -reach to reach, times the strength."""
        return self.keep(name, self.strength * reach * (2.0 * self.rng.random() - 1.0))

    def up_to(self, name: str, most: float, *, power: float = 1.0, least: float = 0.0) -> float:
        """Draw from least to most, times the strength; a power above 1 makes small values likelier."""
        return self.keep(name, self.strength * (least + (most - least) * self.rng.random() ** power))

    def between(self, name: str, low: float, high: float) -> float:
        """Draw what has no neutral value, such as an angle; the strength plays no part."""
        return self.keep(name, low + (high - low) * self.rng.random())

    def chance(self, name: str, probability: float) -> bool:
        """Draw whether something happens; a strength below 1 makes it rarer."""
        return self.keep(name, bool(self.rng.random() < probability * min(self.strength, 1.0)))

    def integer(self, name: str, stop: int) -> int:
        """Draw from 0 to stop - 1."""
        return self.keep(name, int(self.rng.integers(stop)))

    def choice(self, name: str, options: Sequence[str]) -> str:
        """Draw one of several."""
        return self.keep(name, options[int(self.rng.integers(len(options)))])
