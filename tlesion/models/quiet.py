"""Silence what the libraries print while a model loads, for exactly that long."""

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Iterator

import transformers.utils.logging as transformers_logging
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep prints, log records, warnings and progress bars of model loading from the user's terminal.

    Every setting is put back on the way out, whatever happens inside. A download's progress bar is left
    alone when stderr is a terminal: gigabytes that arrive without a sign of life look like a hang.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
        stack.enter_context(_no_log_records())
        stack.enter_context(_no_progress_bars())
        yield


@contextlib.contextmanager
def _no_log_records() -> Iterator[None]:
    root, previous = logging.getLogger(), logging.root.manager.disable
    # `logging.warning` installs a handler on a root logger that has none, and nobody would take it away.
    stand_in = logging.NullHandler()
    root.addHandler(stand_in)
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(previous)
        root.removeHandler(stand_in)


@contextlib.contextmanager
def _no_progress_bars() -> Iterator[None]:
    hub_was_silent = are_progress_bars_disabled()
    transformers_was_loud = transformers_logging.is_progress_bar_enabled()
    transformers_logging.disable_progress_bar()
    if sys.stderr.isatty() and not hub_was_silent:
        enable_progress_bars()
    try:
        yield
    finally:
        if transformers_was_loud:
            transformers_logging.enable_progress_bar()
        (disable_progress_bars if hub_was_silent else enable_progress_bars)()
