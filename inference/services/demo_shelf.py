"""Demo generations as pages show them: by prompt, each way beside the other."""

from dataclasses import dataclass, field

from inference.models import DemoGeneration
from inference.services.demo_set import kind_of, title_of


@dataclass(slots=True)
class DemoGroup:
    """One prompt and what was written on it."""

    key: str
    title: str
    kind: str
    """Which task it stands for."""
    prompt: str
    rows: list[DemoGeneration] = field(default_factory=list)
    """One for each way: greedy, then seeded."""

    @property
    def best(self) -> DemoGeneration | None:
        """What a short list shows: the drawn text, else any that is there."""
        done = [row for row in self.rows if row.state == DemoGeneration.State.DONE]
        return next((row for row in done if row.way == "seeded"), done[0] if done else None)

    @property
    def short_prompt(self) -> str:
        """The last line of the prompt: what the text goes on from."""
        return self.prompt.strip().rpartition("\n")[2]


def groups_of(rows: list[DemoGeneration]) -> list[DemoGroup]:
    """Return ``rows`` by prompt, in the order of the set."""
    groups: dict[str, DemoGroup] = {}
    for row in rows:
        key = row.prompt_key
        group = groups.setdefault(key, DemoGroup(key, title_of(key), kind_of(key), row.prompt))
        group.rows.append(row)
    return list(groups.values())
