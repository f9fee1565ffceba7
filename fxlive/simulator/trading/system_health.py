"""The platform's own status: components that degrade and fail at random, and the messages about them."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from fxlive.simulator import wire

COMPONENTS = ("database", "redis", "broker", "pusher")
_PROBLEMS = {
    "database": ("Database queries are slow", "Database is not reachable"),
    "redis": ("Redis memory is nearly full", "Redis is not reachable"),
    "broker": ("Broker connection experiencing high latency", "Broker connection lost"),
    "pusher": ("Pusher is delivering late", "Pusher is not reachable"),
}
_ALL_HEALTHY = "All systems operational"


class SystemHealth:
    """Random states of the platform's components. They change with each step, the same way for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(f"health {seed}")
        self._components = dict.fromkeys(COMPONENTS, "HEALTHY")

    def step(self, time_ms: int) -> tuple[Mapping[str, Any], list[tuple[str, str, str]]]:
        """Advance one step.

        Return the next status (data of the system channel) and the changes as (component, new state, message).
        """
        changes = []
        for component, state in self._components.items():
            draw = self._random.random()
            new_state = state
            if state == "HEALTHY":
                new_state = "DEGRADED" if draw < 0.02 else state
            elif state == "DEGRADED":
                new_state = "DOWN" if draw < 0.03 else "HEALTHY" if draw > 0.75 else state
            elif draw > 0.5:
                new_state = "DEGRADED"
            if new_state != state:
                self._components[component] = new_state
                changes.append((component, new_state, self._describe(component)))
        return self.status(time_ms), changes

    def status(self, time_ms: int) -> Mapping[str, Any]:
        """Return the current status: the state of the worst component, with a message about each unhealthy one."""
        states = self._components.values()
        worst = "DOWN" if "DOWN" in states else "DEGRADED" if "DEGRADED" in states else "HEALTHY"
        message = "; ".join(self._describe(name) for name, state in self._components.items() if state != "HEALTHY")
        return wire.system(status=worst, components=self._components, message=message or _ALL_HEALTHY, time_ms=time_ms)

    def _describe(self, component: str) -> str:
        state = self._components[component]
        if state == "HEALTHY":
            return f"{component.capitalize()} has recovered"
        return _PROBLEMS[component][state == "DOWN"]
