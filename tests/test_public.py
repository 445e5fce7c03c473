"""What users call settles its options and lets nothing of the session in; its siblings do as it does."""

import inspect
import subprocess
import sys

import numpy as np
import pytest
import torch

import tlesion
from tlesion import inference, options

MASK = torch.zeros(1, 40, dtype=torch.bool)
MASK[0, :3] = True


def settled(function):
    return [name for name in inspect.signature(inspect.unwrap(function)).parameters if name in options._SETTLE]


def decorated(function):
    return inspect.getsource(inspect.unwrap(function)).startswith("@public\n")


@pytest.mark.parametrize("room", [tlesion, inference, tlesion.subspace, tlesion.report])
def test_every_public_function_with_an_option_settles_it(room):
    functions = [getattr(room, name) for name in dir(room) if not name.startswith("_")]
    ours = [one for one in functions if inspect.isfunction(one) and one.__module__.startswith("tlesion.")]
    left_out = [one.__name__ for one in ours if settled(one) and not decorated(one)]
    assert not left_out, f"{left_out} have options that tlesion.options settles: decorate them, @public"


def test_what_controls_are_matched_on_may_be_an_array():
    values = np.arange(40.0)[None]
    theirs = inference.matched_controls(MASK, n_controls=3, seed=0, match=values)
    assert theirs.equal(inference.matched_controls(MASK, n_controls=3, seed=0, match=torch.from_numpy(values)))
    assert inference.joint_controls(MASK[None], n_controls=3, seed=0, match=values)[:, 0].equal(theirs)
    assert inference.log_n_controls(MASK, match=values).shape == (1,)


def test_what_has_to_be_measured_first_is_refused_where_nothing_can_be():
    with pytest.raises(TypeError, match=r"match is 'activity', which tlesion\.laminar_profile measures"):
        inference.matched_controls(MASK, n_controls=3, seed=0, match="activity")


def test_masks_to_compare_may_be_arrays_with_numbers_for_names():
    overlap = tlesion.mask_overlap({1: MASK.numpy(), "2": MASK})
    assert overlap.names == ("1", "2")
    with pytest.raises(ValueError, match="give each a name of its own"):
        tlesion.mask_overlap({1: MASK, "1": MASK})


@pytest.mark.slow
def test_a_warning_points_at_the_line_that_called_tlesion(tmp_path):
    """In a process of its own: here the functions are wrapped once more, to check shapes."""
    script = tmp_path / "mine.py"
    script.write_text(
        "import warnings, tlesion\n"
        "pairs = [('We saw him.', 'We saw her.'), ('I like him.', 'I like her.')] * 2\n"
        "contrast = tlesion.Contrast.from_pairs(pairs, ('him', 'her'))\n"
        "with warnings.catch_warnings(record=True) as warned:\n"
        "    warnings.simplefilter('always')\n"
        "    tlesion.select_neurons(tlesion.load_model('toy-bert'), contrast, layers=[0])\n"
        "print([(one.filename, one.lineno) for one in warned if 'copies of others' in str(one.message)])\n"
    )
    told = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert eval(told.stdout) == [(str(script), 6)] * 2
