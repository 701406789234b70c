"""The configuration: its defaults, what is refused and in which words, and the pages made of it."""

import tomllib
from pathlib import Path

import pytest

from sensor import config
from sensor.errors import UsageError
from sensor.programs.config import example_lines, reference_lines


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[capture]\nring_mb = 3\n", ":2: capture.ring_mb: unknown key, perhaps `ring_mib`"),
        ("capture.ring_mb=3", ":1: capture.ring_mb: unknown key, perhaps `ring_mib`"),
        ("\n[capture]\nring_mib = 3000\n", ":3: capture.ring_mib: expected `int` <= 1024"),
        ("[cature]\n", ":1: cature: unknown key, perhaps `capture`"),
        ("agent=3", ":1: agent: expected `object`, got `int`"),
        ('[[agents]]\nname="a"\n[[agents]]\nvlan=5\n', ":3: agents[1]: table missing required"),
        ('[[agents]]\nname="a"\n[[agents]]\nname="b"\nvlan=5000', ":5: agents[1].vlan: expected"),
        ('[[agents]]\nname="a"\n[[agents]]\nname="a"', "agents: two have the same name"),
        ('[store]\nwindows="3 d"\n', ":2: store.windows: expected a duration such as 30m"),
        ('[store]\nwindows="401d"\n', ":2: store.windows: expected at least 1s, at most 400d"),
        ('[store]\npath=""\n', ":2: store.path: expected `str` of length >= 1"),
        ('[agent]\nid="me"\n', ":2: agent.id: expected a UUID"),
        ('[capture]\ninterfaces = ["a b"]', ":2: capture.interfaces[0]: expected the name of"),
        ('[billing]\nmodel = "p95"\n', "billing.rate: expected a price above 0"),
        ("[billing]\nrate = -1.0\n", ":2: billing.rate: expected `float` >= 0"),
        ('[billing]\ntimezone = "Mars/Base"\n', ":2: billing.timezone: expected a name such as"),
        ('[billing]\nmodel = "free"\n', ":2: billing.model: "),
        ("x=", ": no TOML: Invalid value"),
        ("a='\x1b[2J'\n", ": no TOML: Found invalid character"),
        ('"\\u001b[2J" = 1\n', "unknown key"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "sensor.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as refused:
        config.load(str(file))
    assert said in str(refused.value)
    assert str(refused.value).isprintable()


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such file"):
        config.load(str(tmp_path / "none.toml"))
    (tmp_path / "large.toml").write_bytes(b"#" * (config.SIZE_MAX + 1))
    with pytest.raises(UsageError, match="larger than"):
        config.load(str(tmp_path / "large.toml"))
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="no TOML"):
        config.load(str(tmp_path / "binary.toml"))


def test_the_example_is_the_defaults() -> None:
    text = "\n".join(example_lines())
    assert tomllib.loads(text) == {}
    lines = [line.removeprefix("#") for line in text.splitlines() if not line.startswith("# ")]
    values = tomllib.loads("\n".join(lines))
    assert [agent.pop("name") for agent in values["agents"]] == [""]
    del values["agents"]
    assert config.convert(values) == config.Config()


@pytest.mark.parametrize(
    ("page", "lines", "how"),
    [
        ("docs/settings.md", reference_lines, "reference"),
        ("systemd/sensor.toml", example_lines, "example"),
    ],
)
def test_pages_are_in_step(page: str, lines: object, how: str) -> None:
    assert callable(lines)
    written = Path(page).read_text(encoding="utf-8")
    assert "\n".join(lines()) + "\n" == written, f"run: sensor config {how} > {page}"
