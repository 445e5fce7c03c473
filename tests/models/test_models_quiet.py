"""While a model loads nothing reaches the terminal, and afterwards every setting is as it was."""

import logging
import sys
import warnings

import pytest
import transformers
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

from tlesion.models import load_model
from tlesion.models.quiet import quiet


def settings():
    return {
        "stdout": sys.stdout,
        "stderr": sys.stderr,
        "filters": list(warnings.filters),
        "disabled": logging.root.manager.disable,
        "level": logging.root.level,
        "handlers": list(logging.root.handlers),
        "verbosity": transformers.logging.get_verbosity(),
        "bars": transformers.logging.is_progress_bar_enabled(),
        "hub bars": are_progress_bars_disabled(),
    }


def make_noise():
    print("print")
    warnings.warn("warning", DeprecationWarning, stacklevel=1)
    logging.warning("on the root logger")
    logging.getLogger("some.library").error("on another")


def interrupt():
    make_noise()
    raise KeyboardInterrupt


def test_nothing_is_heard(capfd, caplog):
    with quiet():
        make_noise()
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


@pytest.mark.parametrize("bars", [True, False])
@pytest.mark.parametrize("hub_bars", [True, False])
def test_settings_return_even_after_an_error(bars, hub_bars):
    at_first = settings()
    try:
        (transformers.logging.enable_progress_bar if bars else transformers.logging.disable_progress_bar)()
        (enable_progress_bars if hub_bars else disable_progress_bars)()
        logging.disable(logging.DEBUG)
        before = settings()
        with pytest.raises(KeyboardInterrupt), quiet():
            interrupt()
        assert settings() == before
    finally:
        logging.disable(at_first["disabled"])
        (transformers.logging.enable_progress_bar if at_first["bars"] else transformers.logging.disable_progress_bar)()
        (disable_progress_bars if at_first["hub bars"] else enable_progress_bars)()
    assert settings() == at_first


def test_no_handler_appears_on_a_bare_root_logger(monkeypatch):
    """`logging.warning` installs one where there is none, and later messages of anybody would be printed twice."""
    monkeypatch.setattr(logging.root, "handlers", [])
    with quiet():
        logging.warning("TransformerLens does this")
    assert logging.root.handlers == []


@pytest.mark.parametrize("family", ["bert", "bert-base-model", "gpt2", "llama"])
def test_loading_is_quiet_and_leaves_no_trace(checkpoint_folder, capfd, caplog, family):
    folder = checkpoint_folder(family)
    capfd.readouterr()
    before = settings()
    load_model(folder)
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert settings() == before


def test_download_bars_stay_on_a_terminal(monkeypatch):
    enable_progress_bars()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    with quiet():
        assert not are_progress_bars_disabled()
        assert not transformers.logging.is_progress_bar_enabled()
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    with quiet():
        assert are_progress_bars_disabled()
