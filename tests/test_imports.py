"""The floors of the package: who may import whom, what stays light, and that every public name is there."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import tlesion

pytestmark = pytest.mark.slow

PACKAGE = Path(tlesion.__file__).parent
SOURCES = sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")

# From the bottom up: a module imports only from lines above its own here, and from its own package. The number is the
# floor; lines within a floor are in order as well, so that no two modules can come to need each other.
FLOORS: tuple[tuple[int, set[str]], ...] = (
    (0, {"undisturbed"}),
    (0, {"checks"}),
    (0, {"positions"}),
    (0, {"options"}),
    (0, {"public"}),
    (0, {"registry"}),
    (0, {"function_id"}),
    (0, {"stats", "activations"}),
    (0, {"correlation", "measures", "covariance", "subspace"}),
    (1, {"anatomy"}),
    (1, {"keep"}),
    (1, {"hooks"}),
    (1, {"models"}),
    (1, {"tokens", "interventions"}),
    (1, {"stimuli"}),
    (1, {"encoding", "provenance"}),
    (2, {"sweeps"}),
    (2, {"selection"}),
    (2, {"inference"}),
    (2, {"toy"}),
    (3, {"drawing"}),
    (3, {"paper"}),
    (4, {"studies"}),
    (5, {"plots", "report", "files"}),
    (5, {"cli", "__main__"}),
)
ORDER = {name: line for line, (_, names) in enumerate(FLOORS) for name in names}
FLOOR = {name: floor for floor, names in FLOORS for name in names}


def module_of(path: Path) -> str:
    """The first part of the name inside the package: `subspace` for tlesion/subspace/fit.py."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> list[tuple[int, str]]:
    """Every import of a file, those inside functions too: (line, dotted name)."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: relative import; write the full name"
            # `from tlesion import hooks` names a module in its second half.
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def imports_of(own: str) -> list[tuple[str, str]]:
    """Every import in a module's files: (file and line, dotted name)."""
    paths = [path for path in SOURCES if module_of(path) == own]
    return [(f"{path.relative_to(PACKAGE)}:{line}", name) for path in paths for line, name in imported(path)]


KNOW_TRANSFORMER_LENS = ("anatomy", "models")
PARTS = {"blocks", "unembed", "pos_embed", "ln_final", "mlm_head", "mlp", "attn", "ln1", "ln2", "act_fn", "mod_dict"}
WEIGHT = re.compile(r"[Wb]_(Q|K|V|O|in|out|gate|E|U|pos)")


def insides_read(path: Path) -> list[str]:
    """Where a file names a part of a model as an attribute: file, line and attribute."""
    return [
        f"{path.name}:{node.lineno} .{node.attr}"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and (node.attr in PARTS or WEIGHT.fullmatch(node.attr))
    ]


# Which rooms of studies/ may import from which others: `common` is below all, `evidence` above all. No study imports
# another one, but for those that are made of laminar profiles.
BELOW_STUDIES = {"common"}
ABOVE_STUDIES = {"evidence"}
MADE_OF = {"verdict": {"laminar"}, "cross_fit": {"laminar"}}


def room_imports(path: Path) -> list[tuple[str, str]]:
    """What a file below studies/ imports from other rooms there: (file and line, room)."""
    own = path.relative_to(PACKAGE / "studies").parts[0]
    others = [(line, name.split(".")[2]) for line, name in imported(path) if name.startswith("tlesion.studies.")]
    return [(f"{path.relative_to(PACKAGE)}:{line}", room) for line, room in others if room != own]


MODULES = sorted({module_of(path) for path in SOURCES})


@pytest.mark.parametrize("own", MODULES)
def test_imports_go_strictly_downward(own):
    assert own in ORDER, f"tlesion.{own} has no floor yet: give it a line in FLOORS"
    for place, name in imports_of(own):
        parts = name.split(".")
        if parts[0] != "tlesion":
            continue
        other = parts[1]
        assert other in ORDER, f"{place} imports {other!r} from tlesion itself; import its module"
        assert other == own or ORDER[other] < ORDER[own], (
            f"{place}: {own} (floor {FLOOR[own]}) imports {other} (floor {FLOOR[other]}), which is not below it"
        )


@pytest.mark.parametrize("room", sorted(path.parent.name for path in PACKAGE.glob("studies/*/__init__.py")))
def test_no_study_imports_another(room):
    allowed = BELOW_STUDIES | MADE_OF.get(room, set())
    if room in ABOVE_STUDIES:
        return
    found = [one for path in sorted((PACKAGE / "studies" / room).glob("*.py")) for one in room_imports(path)]
    refused = [f"{place} imports {other}" for place, other in found if other not in allowed]
    assert not refused, f"{refused}: what two studies share belongs into studies/common, or a floor below"


@pytest.mark.parametrize("own", MODULES)
def test_transformer_lens_is_imported_by_those_who_build_models_and_those_who_know_them_inside(own):
    outside = {name.split(".")[0] for _, name in imports_of(own)}
    if own not in KNOW_TRANSFORMER_LENS:
        places = [place for place, name in imports_of(own) if name.split(".")[0] == "transformer_lens"]
        assert not places, f"{places} import transformer_lens; tlesion.anatomy has what is needed, or is to offer it"
    if FLOOR[own] == 0:
        assert not outside & {"transformer_lens", "transformers"}, "floor 0 is pure tensor and array mathematics"


@pytest.mark.parametrize("own", [own for own in MODULES if own not in KNOW_TRANSFORMER_LENS])
def test_nobody_else_reaches_into_a_model(own):
    """`model.blocks[3].mlp.W_out`: where a part is called otherwise in another kind of model, one room has to know."""
    found = [place for path in SOURCES if module_of(path) == own for place in insides_read(path)]
    assert not found, f"{found}: parts of a model by TransformerLens' names; ask tlesion.anatomy for them"


@pytest.mark.parametrize("own", MODULES)
def test_no_module_switches_off_the_shape_checks_of_dataclasses(own):
    future = [place for place, name in imports_of(own) if name == "__future__.annotations"]
    assert not future, "with postponed annotations jaxtyping no longer checks dataclass fields"


def test_the_table_would_catch_an_upward_import(tmp_path):
    """The reader of imports sees all of their forms, and the order of the table is the one that is meant."""
    source = tmp_path / "upward.py"
    source.write_text(
        "import tlesion.plots as p\ndef f():\n    from tlesion import cli\n    from tlesion.hooks import a\n"
    )
    assert [name for _, name in imported(source)] == ["tlesion.plots", "tlesion.cli", "tlesion.hooks.a"]
    assert (
        ORDER["stats"]
        < ORDER["anatomy"]
        < ORDER["hooks"]
        < ORDER["sweeps"]
        < ORDER["selection"]
        < ORDER["drawing"]
        < ORDER["studies"]
    )
    assert len(ORDER) == sum(len(names) for _, names in FLOORS), "a module stands on one line only"
    assert [floor for floor, _ in FLOORS] == sorted(floor for floor, _ in FLOORS)


def test_the_reader_of_insides_sees_every_part_and_no_word_of_ours(tmp_path):
    source = tmp_path / "reaching.py"
    source.write_text("model.blocks[3].mlp.W_out\nmodel.unembed.b_U\nrunner.embed(ids)\nblocks(model)\nstudy.b_side\n")
    seen = {found.split()[1] for found in insides_read(source)}
    assert seen == {".blocks", ".mlp", ".W_out", ".unembed", ".b_U"}


def test_importing_the_package_is_light_and_floor_0_runs_alone():
    floor_0 = sorted({module_of(path) for path in SOURCES if FLOOR[module_of(path)] == 0})
    script = f"""
import importlib, sys
import tlesion
heavy = {{"torch", "transformer_lens", "transformers", "pandas", "scipy", "plotly", "numpy"}} & set(sys.modules)
assert not heavy, f"import tlesion imported {{heavy}}"
assert "laminar_profile" in dir(tlesion)
for name in {floor_0}:
    importlib.import_module(f"tlesion.{{name}}")
heavy = {{"transformer_lens", "transformers", "plotly"}} & set(sys.modules)
assert not heavy, f"floor 0 imported {{heavy}}"
print("light")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "light", done.stderr


def public_names() -> list[str]:
    stub = ast.parse((PACKAGE / "__init__.pyi").read_text())
    return [
        alias.asname for node in stub.body if isinstance(node, ast.ImportFrom) for alias in node.names if alias.asname
    ]


@pytest.mark.parametrize("name", public_names())
def test_every_public_name_is_there_and_says_what_it_is(name):
    value = getattr(tlesion, name)
    assert (value.__doc__ or "").strip(), f"tlesion.{name} has no docstring"
    assert name in dir(tlesion)
    assert name in tlesion.__all__


def test_an_unknown_public_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="laminar_profil"):
        getattr(tlesion, "laminar_profil")  # noqa: B009  written as an attribute, it is mypy that says so
