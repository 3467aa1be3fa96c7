"""Under what a fit is kept, and how hyper-parameters are read."""

from pathlib import Path

import pytest

from benchmarks.methods import fitting
from benchmarks.methods.cases import Fit
from benchmarks.methods.forms import Item
from benchmarks.methods.measuring import Shelf
from benchmarks.methods.served import stops


def test_settings_are_read_by_the_type_of_their_field() -> None:
    assert fitting.setting("rocr", "layers=1-3,7") == ("layers", (1, 2, 3, 7))
    assert fitting.setting("rocr", "ridge=0.02") == ("ridge", 0.02)
    assert fitting.setting("rocr", "target=Narnia") == ("target", "Narnia")
    assert fitting.setting("rocr", "layers=") == ("layers", ())


def test_a_setting_that_the_method_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected one of .*ridge.* found 'rigde'"):
        fitting.setting("rocr", "rigde=1")


def test_a_configuration_is_the_default_but_for_what_is_set() -> None:
    found = fitting.configured(Fit("rocr", (("target", "Narnia"),), ("capital/France",)))
    assert found.target == "Narnia"
    assert found.ridge == fitting.configured(Fit("rocr", (), ())).ridge


def test_a_change_in_code_that_a_method_uses_makes_another_fit(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    before = fitting.code_digest("rocr")
    real = Path.read_bytes

    def changed(path: Path, name: str) -> bytes:
        return real(path) + (b"\n# changed" if path.name == name else b"")

    monkeypatch.setattr(Path, "read_bytes", lambda path: changed(path, "capture.py"))
    assert fitting.code_digest("rocr") != before
    monkeypatch.setattr(Path, "read_bytes", lambda path: changed(path, "embedded.py"))
    assert fitting.code_digest("rocr") == before


def test_an_engine_and_transformers_never_share_answers(tmp_path: Path) -> None:
    Shelf(tmp_path, "engine").answers("base").add([{"key": "k"}])
    assert "k" in Shelf(tmp_path, "engine").answers("base")
    assert "k" not in Shelf(tmp_path, "transformers").answers("base")


def test_generation_stops_only_where_an_answer_is_whole() -> None:
    assert "Rome." in stops(Item("f", "question", 0, "", "Rome"))
    assert "Rome" not in stops(Item("f", "question", 0, "", "Rome"))
    assert stops(Item("f", "question", 0, "", "Fe")) == []
