"""The platform's own health: components that falter now and then, and what is said about it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from fxlive.simulator import wire

COMPONENTS = ("database", "redis", "broker", "pusher")
_TROUBLES = {
    "database": ("Database queries are slow", "Database is not reachable"),
    "redis": ("Redis memory is nearly full", "Redis is not reachable"),
    "broker": ("Broker connection experiencing high latency", "Broker connection lost"),
    "pusher": ("Pusher is delivering late", "Pusher is not reachable"),
}
_WELL = "All systems operational"


class SystemHealth:
    """Moves a step with each status that is sent; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"health {seed}")
        self._components = dict.fromkeys(COMPONENTS, "HEALTHY")

    def step(self, time_ms: int) -> tuple[Mapping[str, Any], list[tuple[str, str, str]]]:
        """The next status (data of the system channel), and what changed: (component, new state, message)."""
        changes = []
        for component, state in self._components.items():
            luck = self._random.random()
            new = state
            if state == "HEALTHY":
                new = "DEGRADED" if luck < 0.02 else state
            elif state == "DEGRADED":
                new = "DOWN" if luck < 0.03 else "HEALTHY" if luck > 0.75 else state
            elif luck > 0.5:
                new = "DEGRADED"
            if new != state:
                self._components[component] = new
                changes.append((component, new, self._say(component)))
        return self.status(time_ms), changes

    def status(self, time_ms: int) -> Mapping[str, Any]:
        """The current status: that of the worst component, and what is wrong with it."""
        states = self._components.values()
        worst = "DOWN" if "DOWN" in states else "DEGRADED" if "DEGRADED" in states else "HEALTHY"
        message = "; ".join(self._say(name) for name, state in self._components.items() if state != "HEALTHY")
        return wire.system(status=worst, components=self._components, message=message or _WELL, time_ms=time_ms)

    def _say(self, component: str) -> str:
        state = self._components[component]
        if state == "HEALTHY":
            return f"{component.capitalize()} has recovered"
        return _TROUBLES[component][state == "DOWN"]
