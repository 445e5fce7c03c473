"""The public names, for `lazy_loader` and for type checkers."""

from . import contrasts as contrasts
from . import hooks as hooks
from . import interventions as interventions
from . import models as models
from . import plots as plots
from . import prompts as prompts
from . import stats as stats
from . import subspace as subspace
from . import toy as toy
from .archive import load_result as load_result
from .models import load_model as load_model
from .reference import measure_reference as measure_reference
from .selection import NeuronSelection as NeuronSelection
from .selection import select_from_cache as select_from_cache
from .selection import select_neurons as select_neurons
from .stimuli import Contrast as Contrast
from .stimuli import Prompt as Prompt
from .stimuli import Sentence as Sentence
from .studies.laminar import LaminarProfile as LaminarProfile
from .studies.laminar import laminar_profile as laminar_profile
from .sweeps.sweep import SweepResult as SweepResult
from .sweeps.sweep import sweep as sweep
