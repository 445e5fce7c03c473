"""``tlesion laminar``: the laminar profile of the user's own model, pairs and prompts."""

from pathlib import Path

from tlesion.cli import options as given


def laminar(
    model: given.ModelName = "toy-bert",
    device: given.Device = None,
    dtype: given.Dtype = "float32",
    prepend_bos: given.PrependBos = None,
    pairs: given.Pairs = None,
    words: given.Words = None,
    conditions: given.Conditions = None,
    prompts: given.Prompts = None,
    hook_point: given.HookPoint = "mlp.hook_pre",
    position: given.Position = "word",
    test: given.Test = "welch",
    correction: given.Correction = None,
    family: given.Family = "layer",
    alpha: given.Alpha = 0.05,
    min_effect: given.MinEffect = 0.0,
    top_k: given.TopK = None,
    n_permutations: given.Permutations = 10_000,
    batch_size: given.BatchSize = 32,
    ablation: given.Ablation = "zero",
    lesion_point: given.LesionPoint = "mlp.hook_post",
    lesion_position: given.LesionPosition = "readout",
    seed: given.Seed = 0,
    plan: given.Plan = "auto",
    controls: given.Controls = 50,
    allow_shared: given.AllowShared = False,
    out: given.Out = Path("laminar-report"),
    checkpoint: given.Checkpoint = None,
    as_json: given.Json = False,
    debug: given.Debug = False,
) -> None:
    """Select neurons by a contrast, lesion them one layer at a time, and report what that costs the targets."""
    from tlesion.cli.laminar_run import Lesioning, run_laminar
    from tlesion.cli.selecting import Selecting
    from tlesion.studies.evidence.gather import Checking

    run_laminar(
        model_name=model,
        out=out,
        as_json=as_json,
        device=device,
        dtype=dtype,
        selecting=Selecting(
            pairs=pairs,
            words=given.two_words(words, "--words"),
            conditions=given.two_words(conditions, "--conditions"),
            hook_point=hook_point,
            position=given.number_or_name(position),
            test=test,
            correction=correction,
            family=family,
            alpha=alpha,
            min_effect=min_effect,
            top_k=top_k,
            n_permutations=n_permutations,
            seed=seed,
            batch_size=batch_size,
            prepend_bos=prepend_bos,
        ),
        lesioning=Lesioning(
            prompts=prompts,
            ablation=ablation,
            hook_point=lesion_point,
            position=given.number_or_name(lesion_position),
            seed=seed,
            plan=plan,
            checkpoint=checkpoint,
        ),
        checking=Checking(n_controls=controls, allow_shared=allow_shared),
    )
