"""Names replaced by keyed hashes."""

from pathlib import Path

from affect.cache.pseudonyms import Pseudonyms


def test_a_pseudonym_depends_on_name_and_key_alone_and_hides_every_form_of_the_name() -> None:
    first, second = Pseudonyms(b"k" * 32), Pseudonyms(b"l" * 32)
    assert first.of("clinic/anna.mp4") == first.of("clinic/anna.mp4") != second.of("clinic/anna.mp4")
    assert Pseudonyms().of("anna.mp4") == "anna.mp4"
    path = Path("/data/clinic/anna.mp4")
    message = "/data/clinic/anna.mp4: cannot be read; anna.mp4 (anna) is empty"
    cleaned = first.cleaned(message, "clinic/anna.mp4", path)
    assert "anna" not in cleaned and "clinic" not in cleaned and "k" * 8 not in repr(first)
