from collections.abc import Callable
from pathlib import Path

import numpy as np

from affect.configs.schema import Config
from affect.pipeline.train.training_set import build_training_set
from affect.stages.temporal.ensemble import Ensemble
from affect.stages.temporal.fit import EpochRecord, Fit, LabelledClips, build_model
from affect.stages.temporal.metrics import mean_ccc
from affect.stages.temporal.model import ModelSpec
from affect.stages.temporal.score import score_clips
from affect.stages.temporal.splits import make_folds

from .conftest import Data, split_of


def fitted(data: Data, folder: Path, config: Config) -> tuple[list[EpochRecord], float]:
    """All epochs of a fit, and what the model it leaves scores on the validation clips."""
    splits = split_of(data.manifest.subjects, train=5, validation=1)
    whole = build_training_set(data.store, data.relabelled(folder / "labels.csv", splits=splits), config, "cpu")
    sides = {
        side: whole.clips_of(rows) for side, rows in make_folds(whole.manifest, config.evaluation, 0)[0].sides.items()
    }
    labels = whole.scaling.to_training(whole.labels)
    size, targets, length = whole.clips.table.feature_size, whole.manifest.target_names, whole.clips.clip_length
    spec = ModelSpec(size, targets, length, config.clips.context, config.model)
    clips = LabelledClips(whole.clips, labels, sides["train"], sides["validation"])
    fit = Fit(build_model(spec, 0, "cpu"), clips, config.training, config.loss, 0)
    records = list(fit.epochs())
    prediction = score_clips([Ensemble([fit.model]).eval()], whole.clips, sides["validation"]).mean
    assert fit.progress.best_score == records[fit.progress.best_epoch - 1].validation_ccc
    return records, mean_ccc(prediction, labels[sides["validation"]])


def test_the_kept_epoch_is_the_best_on_validation_or_the_last_one_when_asked(
    data: Data, settings: Callable[..., Config], tmp_path: Path
) -> None:
    jumpy = ("training.learning_rate=3e-2", "training.schedule=constant", "training.patience=2", "training.epochs=12")
    best, kept_best = fitted(data, tmp_path, settings(*jumpy))
    last, kept_last = fitted(data, tmp_path, settings(*jumpy, "training.keep=last"))
    scores = [record.validation_ccc for record in best]
    assert len(best) < 12, "patience stops it"
    assert max(scores) > scores[-1], "so that both choices differ"
    np.testing.assert_allclose(kept_best, max(scores), atol=1e-5)
    assert len(last) == 12 and last[-1].best, "to the end, whatever validation says"
    np.testing.assert_allclose(kept_last, last[-1].validation_ccc, atol=1e-5)
